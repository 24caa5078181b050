//! Which way a message went: from outside to us, from us to outside, or between us.

use std::collections::BTreeMap;

use rejoinder_domain::{Address, Direction, Message};
use serde::{Deserialize, Serialize};

/// Which addresses are ours. Empty says nothing about anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ownership {
    /// Mail domains, such as `firm.example`; their subdomains count too.
    pub domains: Vec<String>,
    /// Single addresses.
    pub addresses: Vec<String>,
}

impl Ownership {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty() && self.addresses.is_empty()
    }

    /// Whether `address` is ours. Case does not count.
    pub fn owns(&self, address: &Address) -> bool {
        if address.email.is_empty() {
            return false;
        }
        let own_address = self.addresses.iter().any(|own| own.trim().eq_ignore_ascii_case(&address.email));
        own_address || address.domain().is_some_and(|domain| self.domains.iter().any(|own| is_within(domain, own)))
    }

    /// Both together.
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        self.domains.extend(other.domains);
        self.addresses.extend(other.addresses);
        for list in [&mut self.domains, &mut self.addresses] {
            list.sort_unstable();
            list.dedup();
        }
        self
    }
}

fn is_within(domain: &str, own: &str) -> bool {
    let own = own.trim().trim_start_matches(['@', '.']).to_lowercase();
    let domain = domain.to_lowercase();
    !own.is_empty() && (domain == own || domain.strip_suffix(&own).is_some_and(|rest| rest.ends_with('.')))
}

/// Which way `message` went. Without any ownership nothing is known. A message of ours is outbound as soon as one recipient
/// is not ours, and internal if there are recipients and all are; a message without a known author is unknown.
pub fn of(message: &Message, ownership: &Ownership) -> Direction {
    if ownership.is_empty() {
        return Direction::Unknown;
    }
    let Some(author) = message.from.as_ref().or(message.sender.as_ref()).filter(|author| !author.email.is_empty())
    else {
        return Direction::Unknown;
    };
    let ours = ownership.owns(author) || message.sender.as_ref().is_some_and(|sender| ownership.owns(sender));
    if !ours {
        return Direction::Inbound;
    }
    let mut recipients = message.to.iter().chain(&message.cc).chain(&message.bcc).peekable();
    if recipients.peek().is_some() && recipients.all(|recipient| ownership.owns(recipient)) {
        Direction::Internal
    } else {
        Direction::Outbound
    }
}

/// Which way a message went, where the folder it lies in is known too: an author that ownership does not know is ours all
/// the same when the message lies in the folder of sent mail.
pub fn of_item(message: &Message, in_sent_folder: bool, ownership: &Ownership) -> Direction {
    match of(message, ownership) {
        Direction::Unknown | Direction::Inbound if in_sent_folder => Direction::Outbound,
        direction => direction,
    }
}

/// Learns from a mailbox whose it is: the authors of its sent mail and its owner. Feed it every message, then ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inference {
    authors: BTreeMap<String, u64>,
    sent: u64,
    owner: Option<String>,
}

impl Inference {
    /// Starts with the mailbox's owner, where the source names one.
    pub fn new(owner: Option<&Address>) -> Self {
        let owner = owner.map(|owner| owner.email.clone()).filter(|email| !email.is_empty());
        Self { owner, ..Self::default() }
    }

    /// Takes one message into account.
    pub fn observe(&mut self, message: &Message, in_sent_folder: bool) {
        if !in_sent_folder {
            return;
        }
        let author = message.from.as_ref().or(message.sender.as_ref()).map(|author| author.email.clone());
        if let Some(author) = author.filter(|email| !email.is_empty()) {
            self.sent += 1;
            *self.authors.entry(author).or_insert(0) += 1;
        }
    }

    /// What was learned: addresses only, never domains; half of the world may share a domain. An author counts from two
    /// sent messages, or from one in twenty: what was dragged into the folder by hand does not.
    pub fn ownership(&self) -> Ownership {
        let enough = |count: u64| count >= 2 && count * 50 >= self.sent || count * 20 >= self.sent;
        let mut addresses: Vec<String> =
            self.authors.iter().filter(|&(_, &count)| enough(count)).map(|(author, _)| author.clone()).collect();
        addresses.extend(self.owner.clone());
        addresses.sort_unstable();
        addresses.dedup();
        Ownership { domains: Vec::new(), addresses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, parse_rfc5322};

    fn message(from: &str, to: &str) -> Message {
        let raw = format!("From: {from}\nTo: {to}\nSubject: x\n\nx\n");
        parse_rfc5322(raw.as_bytes(), &Limits::default()).unwrap().0
    }

    #[test]
    fn directions() {
        let ours = Ownership { domains: vec!["firm.example".into()], addresses: vec!["boss@gmail.example".into()] };
        for (from, to, expected) in [
            ("a@else.example", "info@firm.example", Direction::Inbound),
            ("info@mail.FIRM.example", "a@else.example", Direction::Outbound),
            ("info@firm.example", "boss@gmail.example", Direction::Internal),
            ("info@firm.example", "boss@gmail.example, a@else.example", Direction::Outbound),
            ("x@notfirm.example", "info@firm.example", Direction::Inbound),
        ] {
            assert_eq!(of(&message(from, to), &ours), expected, "{from} to {to}");
        }
        assert_eq!(of(&message("a@b.example", "c@d.example"), &Ownership::default()), Direction::Unknown);
    }

    #[test]
    fn the_sent_folder_tells_who_we_are() {
        let mut inference = Inference::new(None);
        for _ in 0..3 {
            inference.observe(&message("anna@firm.example", "x@y.example"), true);
        }
        inference.observe(&message("x@y.example", "anna@firm.example"), false);
        assert_eq!(inference.ownership().addresses, ["anna@firm.example"]);
    }
}
