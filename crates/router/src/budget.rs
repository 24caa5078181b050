//! Budgets: what may be spent in a minute, a day or a month, and what calls that are under way have reserved of it.
//!
//! A call reserves what it may cost at most under every rule that applies to it, in one step, and settles what it did cost.
//! So requests at the same time can never spend together what only one of them was allowed to.
//!
//! A reservation belongs to the window that it was made in and settles there, also where the call ends in the next one: what
//! was promised at five to midnight is yesterday's. Where that window is gone by then, so is what it held.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use rejoinder_domain::{Cost, Purpose, Spending, Spent, TenantId};
use serde::{Deserialize, Serialize};

/// How many tenants are known before those without a current window are looked for; then twice what was left of them.
const SWEEP_AT_LEAST: usize = 1024;

/// The most that may be spent in a time. A condition that is left out always holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetRule {
    /// Only this tenant; left out, each tenant for itself.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// Only calls for this; left out, all of a tenant's calls together.
    #[serde(default)]
    pub purpose: Option<Purpose>,
    /// Only this target, by name; left out, all targets together.
    #[serde(default)]
    pub target: Option<String>,
    /// The time, of the UTC calendar.
    pub per: Period,
    /// Tokens of prompts and answers together. 0 allows none.
    #[serde(default)]
    pub tokens: Option<u64>,
    /// Money, in units of the currency of the targets' prices. 0 allows only what has no price.
    #[serde(default)]
    pub cost: Option<f64>,
}

impl BudgetRule {
    /// Says what to change where a value makes no sense. Whether the target exists is for the caller to check.
    pub fn validate(&self) -> Result<(), String> {
        if self.tokens.is_none() && self.cost.is_none() {
            return Err("it limits nothing; set tokens, cost or both".to_owned());
        }
        if self.cost.is_some_and(|cost| !(0.0..=1e9).contains(&cost)) {
            return Err("cost must be a number of units from 0 to 1000000000".to_owned());
        }
        Ok(())
    }

    fn applies(&self, tenant: &TenantId, purpose: Purpose, target: &str) -> bool {
        self.applies_to(tenant)
            && self.purpose.is_none_or(|only| only == purpose)
            && self.target.as_ref().is_none_or(|only| only == target)
    }

    fn applies_to(&self, tenant: &TenantId) -> bool {
        self.tenant.as_ref().is_none_or(|only| only == tenant)
    }

    fn limit(&self) -> Limit {
        Limit { tokens: self.tokens, nanos: self.cost.map(|units| (units * 1e9).round() as u64) }
    }
}

/// How long a budget lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From second 0 to the next.
    Minute,
    /// From midnight UTC to the next.
    Day,
    /// From midnight UTC of the first day to that of the next month.
    Month,
}

impl Period {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Day, Self::Month];

    /// The stable name, in configuration and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// When the window that holds `now` begins.
    pub fn begin(self, now: Timestamp) -> Timestamp {
        self.window(now).begin
    }

    fn window(self, now: Timestamp) -> Window {
        let whole = |seconds: i64| {
            let begin = now.as_second().div_euclid(seconds).saturating_mul(seconds);
            let at = |second| Timestamp::from_second(second).unwrap_or(now);
            Window { begin: at(begin), end: at(begin.saturating_add(seconds)) }
        };
        match self {
            Self::Minute => whole(60),
            Self::Day => whole(86_400),
            Self::Month => {
                let first = TimeZone::UTC.to_datetime(now).date().first_of_month();
                let midnight = |date: jiff::civil::Date| {
                    TimeZone::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight())).unwrap_or(now)
                };
                Window { begin: midnight(first), end: midnight(first.saturating_add(1.month())) }
            }
        }
    }
}

/// A call would cost more than is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// Which rule, by its place in the configuration: of those without enough left, the one that resets last.
    pub rule: usize,
    /// Its time.
    pub per: Period,
    /// When all of it is there again. What others have reserved and do not use may be free earlier.
    pub resets_at: Timestamp,
    /// The same, from now on.
    pub resets_in: Duration,
    /// The call costs more than the rule ever allows: waiting does not help.
    pub never: bool,
}

/// What is left of one rule for one tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLeft {
    /// Which rule, by its place in the configuration.
    pub rule: usize,
    /// Its time.
    pub per: Period,
    /// Tokens that nobody has spent or reserved, where tokens are limited.
    pub tokens: Option<u64>,
    /// The same of money.
    pub cost: Option<Cost>,
    /// When all of it is there again.
    pub resets_at: Timestamp,
}

/// The budgets of all tenants. Clones are the same budgets.
#[derive(Clone, Debug)]
pub struct Budgets {
    shared: Arc<Shared>,
}

/// What a call may cost at most, taken out of its budgets. Dropped without [`Reservation::settle`], all of it counts as
/// spent: nobody knows what the provider bills.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    shared: Arc<Shared>,
    tenant: TenantId,
    reserved: Spending,
    /// Rules and the begins of their windows.
    held: Vec<(usize, Timestamp)>,
    settled: bool,
}

#[derive(Debug)]
struct Shared {
    rules: Vec<(Limit, BudgetRule)>,
    tenants: Mutex<Tenants>,
}

#[derive(Debug)]
struct Tenants {
    /// Per tenant one account for each rule, in the order of the rules.
    accounts: HashMap<TenantId, Vec<Account>>,
    sweep_at: usize,
}

/// What became of one rule in one tenant's current window.
#[derive(Clone, Copy, Debug)]
struct Account {
    window: Window,
    spent: Spending,
    reserved: Spending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    begin: Timestamp,
    end: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    tokens: Option<u64>,
    nanos: Option<u64>,
}

impl Budgets {
    /// Budgets of which nothing is spent; the rules have been validated.
    pub fn new(rules: Vec<BudgetRule>) -> Self {
        let rules = rules.into_iter().map(|rule| (rule.limit(), rule)).collect();
        let tenants = Tenants { accounts: HashMap::new(), sweep_at: SWEEP_AT_LEAST };
        Self { shared: Arc::new(Shared { rules, tenants: Mutex::new(tenants) }) }
    }

    /// Goes on after a restart: `spent` gives the sums since a time and is asked once for each period that a rule has.
    pub fn restore<E>(
        rules: Vec<BudgetRule>,
        now: Timestamp,
        mut spent: impl FnMut(Timestamp) -> Result<Vec<Spent>, E>,
    ) -> Result<Self, E> {
        let budgets = Self::new(rules);
        for period in Period::ALL {
            if !budgets.shared.rules.iter().any(|(_, rule)| rule.per == period) {
                continue;
            }
            let sums = spent(period.begin(now))?;
            let mut tenants = budgets.shared.tenants();
            for sum in &sums {
                let accounts = tenants.of(&sum.tenant, &budgets.shared.rules, now);
                for ((_, rule), account) in budgets.shared.rules.iter().zip(accounts) {
                    if rule.per == period && rule.applies(&sum.tenant, sum.purpose, &sum.provider) {
                        account.spent = plus(account.spent, sum.spending);
                    }
                }
            }
        }
        Ok(budgets)
    }

    /// Takes `wanted` out of every rule that applies, or out of none.
    pub fn reserve(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        target: &str,
        wanted: Spending,
        now: Timestamp,
    ) -> Result<Reservation, OverBudget> {
        let rules = &self.shared.rules;
        let mut held = Vec::new();
        if rules.iter().any(|(_, rule)| rule.applies(tenant, purpose, target)) {
            let mut tenants = self.shared.tenants();
            let accounts = tenants.of(tenant, rules, now);
            let mut over: Option<OverBudget> = None;
            let mut never = false;
            for (index, ((limit, rule), account)) in rules.iter().zip(&*accounts).enumerate() {
                if !rule.applies(tenant, purpose, target) {
                    continue;
                }
                held.push((index, account.window.begin));
                if limit.allows(plus(account.taken(), wanted)) {
                    continue;
                }
                never |= !limit.allows(wanted);
                let resets_at = account.window.end;
                if over.is_none_or(|other| other.resets_at < resets_at) {
                    let resets_in = Duration::try_from(resets_at.duration_since(now)).unwrap_or_default();
                    over = Some(OverBudget { rule: index, per: rule.per, resets_at, resets_in, never });
                }
            }
            if let Some(over) = over {
                return Err(OverBudget { never, ..over });
            }
            for (index, _) in &held {
                if let Some(account) = accounts.get_mut(*index) {
                    account.reserved = plus(account.reserved, wanted);
                }
            }
        }
        Ok(Reservation {
            shared: Arc::clone(&self.shared),
            tenant: tenant.clone(),
            reserved: wanted,
            held,
            settled: false,
        })
    }

    /// What is left to a tenant, rule by rule; only rules that can apply to it.
    pub fn left(&self, tenant: &TenantId, now: Timestamp) -> Vec<BudgetLeft> {
        let mut tenants = self.shared.tenants();
        let rules = &self.shared.rules;
        // A tenant that only asks is not remembered.
        let mut unknown = Account::all(rules, now);
        let accounts =
            if tenants.accounts.contains_key(tenant) { tenants.of(tenant, rules, now) } else { &mut unknown };
        let known = rules.iter().zip(accounts).enumerate().filter(|(_, ((_, rule), _))| rule.applies_to(tenant));
        known
            .map(|(index, ((limit, rule), account))| {
                let taken = account.taken();
                BudgetLeft {
                    rule: index,
                    per: rule.per,
                    tokens: limit.tokens.map(|tokens| tokens.saturating_sub(taken.tokens)),
                    cost: limit.nanos.map(|nanos| Cost { nanos: nanos.saturating_sub(taken.cost.nanos) }),
                    resets_at: account.window.end,
                }
            })
            .collect()
    }
}

impl Reservation {
    /// What was reserved.
    pub fn reserved(&self) -> Spending {
        self.reserved
    }

    /// Counts what the call did cost, also where that is more than was reserved, and frees the rest.
    pub fn settle(mut self, actual: Spending) {
        self.close(actual);
    }

    fn close(&mut self, actual: Spending) {
        if std::mem::replace(&mut self.settled, true) || self.held.is_empty() {
            return;
        }
        let mut tenants = self.shared.tenants();
        let Some(accounts) = tenants.accounts.get_mut(&self.tenant) else { return };
        for (index, begin) in &self.held {
            if let Some(account) = accounts.get_mut(*index).filter(|account| account.window.begin == *begin) {
                account.reserved = minus(account.reserved, self.reserved);
                account.spent = plus(account.spent, actual);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.close(self.reserved);
    }
}

impl Shared {
    fn tenants(&self) -> MutexGuard<'_, Tenants> {
        // Sums are changed one by one and nothing between them can panic.
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenants {
    /// The accounts of a tenant in the windows that hold `now`.
    fn of(&mut self, tenant: &TenantId, rules: &[(Limit, BudgetRule)], now: Timestamp) -> &mut [Account] {
        if !self.accounts.contains_key(tenant) {
            if self.accounts.len() >= self.sweep_at {
                self.accounts.retain(|_, accounts| accounts.iter().any(|account| account.matters(now)));
                self.sweep_at = (self.accounts.len() * 2).max(SWEEP_AT_LEAST);
            }
            self.accounts.insert(tenant.clone(), Account::all(rules, now));
        }
        let accounts = self.accounts.get_mut(tenant).map_or(&mut [][..], Vec::as_mut_slice);
        for ((_, rule), account) in rules.iter().zip(&mut *accounts) {
            account.roll(rule.per, now);
        }
        accounts
    }
}

impl Account {
    fn all(rules: &[(Limit, BudgetRule)], now: Timestamp) -> Vec<Self> {
        rules.iter().map(|(_, rule)| Self::new(rule.per.window(now))).collect()
    }

    fn new(window: Window) -> Self {
        Self { window, spent: Spending::default(), reserved: Spending::default() }
    }

    fn taken(&self) -> Spending {
        plus(self.spent, self.reserved)
    }

    fn matters(&self, now: Timestamp) -> bool {
        now < self.window.end && self.taken() != Spending::default()
    }

    fn roll(&mut self, per: Period, now: Timestamp) {
        if self.window.begin <= now && now < self.window.end {
            return;
        }
        let window = per.window(now);
        if window.begin > self.window.begin {
            *self = Self::new(window);
        } else if window.end < self.window.begin {
            // The clock was set back. The account goes with it and keeps what it holds: else a clock that was a year ahead
            // for a moment would lock a used-up budget for that year. A smaller step back is a thread that read the clock
            // before another one and came after it; it pays into the later window.
            self.window = window;
        }
    }
}

impl Limit {
    fn allows(&self, spending: Spending) -> bool {
        self.tokens.is_none_or(|most| spending.tokens <= most)
            && self.nanos.is_none_or(|most| spending.cost.nanos <= most)
    }
}

fn plus(a: Spending, b: Spending) -> Spending {
    Spending { tokens: a.tokens.saturating_add(b.tokens), cost: a.cost.plus(b.cost) }
}

fn minus(a: Spending, b: Spending) -> Spending {
    let nanos = a.cost.nanos.saturating_sub(b.cost.nanos);
    Spending { tokens: a.tokens.saturating_sub(b.tokens), cost: Cost { nanos } }
}

#[cfg(test)]
mod tests;
