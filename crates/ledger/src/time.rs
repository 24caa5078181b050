//! Times as the ledger keeps them: milliseconds since 1970.

use jiff::Timestamp;

use crate::LedgerError;

pub(crate) fn read(milliseconds: i64) -> Result<Timestamp, LedgerError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| LedgerError::Corrupt("time"))
}
