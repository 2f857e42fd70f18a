//! Configuration, side by side with the reference: the same texts through both, the same values and sentences out.
//!
//! The reference program is found through the environment variable `SUPERVISOR_ORACLE`, which names a virtual environment
//! in which Supervisor 4.3.0 is installed. Without it these tests say that they are skipped.

mod cases;
mod load;
mod oracle;
mod random;
