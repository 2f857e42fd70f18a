//! The listening sockets: bound before any thread exists, or passed by the service manager (socket activation), and their
//! files.

pub(super) mod bind;
pub(super) mod bind_error;
pub(super) mod bound_server;
mod inet_address;
pub(super) mod listener_copies;
pub(super) mod socket_activation;
pub(super) mod socket_file;
pub(super) mod socket_file_watch;
