//! Which targets a question goes to, in which order.

use std::sync::Arc;

use rejoinder_domain::{ErrorKind, GenerateRequest, SeamError};

use crate::call;
use crate::config::{RouterConfig, Rule};
use crate::state::TargetState;
use crate::target::Place;

/// The targets for `request`, first to last.
pub(crate) fn plan(
    config: &RouterConfig,
    targets: &[Arc<TargetState>],
    request: &GenerateRequest,
) -> Result<Vec<Arc<TargetState>>, SeamError> {
    let own = config.tenants.get(&request.tenant).and_then(|tenant| tenant.order.as_deref());
    let Some(wanted) = &request.context.wanted else { return Ok(by_order(config, targets, request, own)) };
    // Who names a model gets it, also where the order would not come to it; but a tenant's own order is the choice that
    // its callers have.
    let mut chosen = own.map_or_else(|| targets.to_vec(), |order| named(targets, order));
    chosen.retain(|state| state.target.name == *wanted || state.target.model.model() == wanted);
    if chosen.is_empty() {
        return Err(SeamError::new(ErrorKind::NotFound, "there is no model of this name"));
    }
    Ok(chosen)
}

fn by_order(
    config: &RouterConfig,
    targets: &[Arc<TargetState>],
    request: &GenerateRequest,
    own: Option<&[String]>,
) -> Vec<Arc<TargetState>> {
    let rule = || config.rules.iter().find(|rule| applies(rule, targets, request)).map(|rule| rule.order.as_slice());
    if let Some(order) = own.or_else(rule) {
        return named(targets, order);
    }
    let order = config.order.of(request.context.purpose);
    let mut chosen = if order.is_empty() { targets.to_vec() } else { named(targets, order) };
    if config.prefer_local {
        chosen.sort_by_key(|state| state.target.options.place != Place::Local);
    }
    chosen
}

fn named(targets: &[Arc<TargetState>], order: &[String]) -> Vec<Arc<TargetState>> {
    let find = |name: &String| targets.iter().find(|state| state.target.name == *name);
    order.iter().filter_map(find).map(Arc::clone).collect()
}

fn applies(rule: &Rule, targets: &[Arc<TargetState>], request: &GenerateRequest) -> bool {
    let tokens = || {
        targets
            .first()
            .map_or(0, |state| call::input_tokens(request, state.target.model.as_ref(), state.target.options.place))
    };
    rule.purpose.is_none_or(|purpose| purpose == request.context.purpose)
        && (rule.tenants.is_empty() || rule.tenants.contains(&request.tenant))
        && rule.candidates_over.is_none_or(|most| request.context.candidates > most)
        && rule.input_tokens_over.is_none_or(|most| tokens() > most)
}
