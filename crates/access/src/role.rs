//! What a caller may do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A role of a credential. A credential has one or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Searches and reads: suggestions, statistics, usage, schemas, models.
    Reader,
    /// A reader who also has replies and attributes written and tells what became of them.
    Agent,
    /// Brings mail in, by message or by job. Reads nothing but its jobs.
    Ingest,
    /// Everything, erasure, audit and export included.
    Admin,
}

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read what is stored.
    Read,
    /// Have a model answer, and record outcomes.
    Assist,
    /// Bring mail in.
    Ingest,
    /// Erase, audit, export, metrics.
    Administer,
}

/// A set of roles. It can be empty, and then allows nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Role>", into = "Vec<Role>")]
pub struct Roles(u8);

/// A name that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role; the roles are reader, agent, ingest and admin")]
pub struct UnknownRole(String);

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Reader, Self::Agent, Self::Ingest, Self::Admin];

    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Agent => "agent",
            Self::Ingest => "ingest",
            Self::Admin => "admin",
        }
    }

    /// Whether this role alone is enough.
    pub fn allows(self, permission: Permission) -> bool {
        match self {
            Self::Reader => permission == Permission::Read,
            Self::Agent => matches!(permission, Permission::Read | Permission::Assist),
            Self::Ingest => permission == Permission::Ingest,
            Self::Admin => true,
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    /// Takes the exact name: an identity provider's `Admin` may mean something else than ours.
    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or_else(|| UnknownRole(name.chars().take(64).collect()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Roles {
    /// No role.
    pub const NONE: Self = Self(0);

    /// Whether one of the roles is enough.
    pub fn allows(self, permission: Permission) -> bool {
        self.iter().any(|role| role.allows(permission))
    }

    /// Whether the set has `role`.
    pub fn contains(self, role: Role) -> bool {
        self.0 & bit(role) != 0
    }

    /// Whether there is no role in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds a role.
    pub fn insert(&mut self, role: Role) {
        self.0 |= bit(role);
    }

    /// The roles, from reader to admin.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.contains(*role))
    }
}

fn bit(role: Role) -> u8 {
    1 << role as u8
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        let mut set = Self::NONE;
        roles.into_iter().for_each(|role| set.insert(role));
        set
    }
}

impl From<Role> for Roles {
    fn from(role: Role) -> Self {
        Self(bit(role))
    }
}

impl From<Vec<Role>> for Roles {
    fn from(roles: Vec<Role>) -> Self {
        roles.into_iter().collect()
    }
}

impl From<Roles> for Vec<Role> {
    fn from(roles: Roles) -> Self {
        roles.iter().collect()
    }
}

impl FromStr for Roles {
    type Err = UnknownRole;

    /// Names between commas or white space, as on a command line: `reader,ingest`.
    fn from_str(names: &str) -> Result<Self, UnknownRole> {
        names
            .split(|c: char| c == ',' || c.is_whitespace())
            .filter(|name| !name.is_empty())
            .map(Role::from_str)
            .collect()
    }
}

/// Names between commas, as [`Roles::from_str`] takes them.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, role) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(role.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roles({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Permission, Role, Roles};

    #[test]
    fn each_role_allows_what_the_contract_says_and_no_more() {
        let table = [
            (Role::Reader, [true, false, false, false]),
            (Role::Agent, [true, true, false, false]),
            (Role::Ingest, [false, false, true, false]),
            (Role::Admin, [true, true, true, true]),
        ];
        let permissions = [Permission::Read, Permission::Assist, Permission::Ingest, Permission::Administer];
        for (role, allowed) in table {
            assert_eq!(permissions.map(|permission| Roles::from(role).allows(permission)), allowed, "{role}");
        }
        assert_eq!(permissions.map(|permission| Roles::NONE.allows(permission)), [false; 4]);
    }

    #[test]
    fn roles_are_written_as_they_are_read() {
        let roles: Roles = " ingest, reader ".parse().unwrap();
        assert_eq!(roles.to_string(), "reader,ingest");
        assert_eq!(roles.to_string().parse::<Roles>().unwrap(), roles);
        assert_eq!(serde_json::to_string(&roles).unwrap(), r#"["reader","ingest"]"#);
        assert_eq!(serde_json::from_str::<Roles>(r#"["ingest","reader","ingest"]"#).unwrap(), roles);
        assert!(serde_json::from_str::<Roles>(r#"["root"]"#).is_err());
        assert!("reader,Admin".parse::<Roles>().unwrap_err().to_string().contains("\"Admin\""));
        assert!("".parse::<Roles>().unwrap().is_empty());
    }
}
