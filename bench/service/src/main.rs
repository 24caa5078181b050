//! The served product under many tenants, floods, kills and hostile requests.

fn main() {}
