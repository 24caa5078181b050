//! Kinds of personal data.

use serde::{Deserialize, Serialize};

/// What a value is, in the order in which the more specific wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// An international bank account number with a valid checksum.
    Iban,
    /// A payment card's number with a valid checksum.
    Card,
    /// A number that a state gives to a person, by its checksum, its form or its label.
    NationalId,
    /// A date of birth, by its label.
    BirthDate,
    /// A postal address or the part of one that names a place: street and number, box, postcode and town.
    PostalAddress,
    /// A name, or a part of it, of someone whom the caller names.
    Person,
    /// An account, contract or customer number, by its label.
    AccountNumber,
    /// An order, invoice, ticket or similar number, by its label or its form.
    ReferenceNumber,
    /// A telephone or fax number.
    Phone,
    /// An IPv4 or IPv6 address.
    IpAddress,
    /// Text that looks like a placeholder and is none. It is not personal; it is replaced so that nothing is ambiguous.
    Literal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Email,
        Self::Iban,
        Self::Card,
        Self::NationalId,
        Self::BirthDate,
        Self::PostalAddress,
        Self::Person,
        Self::AccountNumber,
        Self::ReferenceNumber,
        Self::Phone,
        Self::IpAddress,
        Self::Literal,
    ];

    /// The stable name, in configuration, the audit and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Iban => "iban",
            Self::Card => "card",
            Self::NationalId => "national_id",
            Self::BirthDate => "birth_date",
            Self::PostalAddress => "postal_address",
            Self::Person => "person",
            Self::Phone => "phone",
            Self::IpAddress => "ip_address",
            Self::AccountNumber => "account_number",
            Self::ReferenceNumber => "reference_number",
            Self::Literal => "literal",
        }
    }

    /// What people call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Email => "e-mail address",
            Self::Iban => "IBAN",
            Self::Card => "card number",
            Self::NationalId => "identity number",
            Self::BirthDate => "date of birth",
            Self::PostalAddress => "postal address",
            Self::Person => "name",
            Self::Phone => "telephone number",
            Self::IpAddress => "IP address",
            Self::AccountNumber => "account number",
            Self::ReferenceNumber => "reference number",
            Self::Literal => "text",
        }
    }

    /// The word in its placeholders: upper-case ASCII letters, no word begins with another.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::Iban => "IBAN",
            Self::Card => "CARD",
            Self::NationalId => "NATIONALID",
            Self::BirthDate => "BIRTHDATE",
            Self::PostalAddress => "ADDRESS",
            Self::Person => "PERSON",
            Self::Phone => "PHONE",
            Self::IpAddress => "IP",
            Self::AccountNumber => "ACCOUNT",
            Self::ReferenceNumber => "REFERENCE",
            Self::Literal => "LITERAL",
        }
    }
}
