//! Configuration files in both programs: the same files give the same values and the same error messages.
//!
//! The environment variable `SUPERVISOR_ORACLE` names a virtual environment with Supervisor 4.3.0, the reference.
//! Without it these tests print that they are skipped.

mod cases;
mod load;
mod mistakes;
mod oracle;
mod random;
mod sane;
