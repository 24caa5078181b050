//! Who calls, for which tenant, and how much of it each may use.
