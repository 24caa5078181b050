//! Read-only reader of Outlook PST and OST files ([MS-PST])
