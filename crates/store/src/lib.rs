//! Vector and full-text store of Rejoinder
