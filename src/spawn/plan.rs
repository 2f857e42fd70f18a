//! Everything a spawn needs, as plain data: made before the clone, only read after it.
/// (being built)
#[derive(Debug)]
pub struct Plan {}
