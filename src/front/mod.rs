//! The doors: each only translates between its protocol and the Control API.

mod view;
