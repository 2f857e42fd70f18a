//! What the HTTP servers of the daemon and of the hub share: limits of connections and memory, streams that count bytes,
//! bodies, responses and their compression, addresses, and the check for foreign pages. This room knows neither processes nor users.

pub(crate) mod blocking_pool;
pub(crate) mod budget;
pub(crate) mod client_stream;
pub(crate) mod compression;
pub(crate) mod counted_io;
pub(crate) mod host_names;
pub(crate) mod origin;
pub(crate) mod percent_encoding;
pub(crate) mod request_body;
pub(crate) mod response;
