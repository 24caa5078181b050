//! Suggest a reply, extract attributes: the application logic of Rejoinder
