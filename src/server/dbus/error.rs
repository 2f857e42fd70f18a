//! D-Bus errors: a name and a message.

use crate::api::{Fault, FaultCode};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BusError {
    /// The D-Bus error name.
    pub(super) name: String,
    pub(super) text: String,
}

impl BusError {
    fn standard(name: &str, text: impl Into<String>) -> Self {
        Self {
            name: format!("org.freedesktop.DBus.Error.{name}"),
            text: text.into(),
        }
    }

    /// The arguments have other types than the call takes.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::standard("InvalidArgs", text)
    }

    /// The caller does not have the permission.
    pub(super) fn denied(text: impl Into<String>) -> Self {
        Self::standard("AccessDenied", text)
    }

    /// The caller might get the permission if it allowed a password dialog.
    pub(super) fn needs_dialog(text: impl Into<String>) -> Self {
        Self::standard("InteractiveAuthorizationRequired", text)
    }

    /// The caller has too many calls in progress.
    pub(super) fn limits(text: impl Into<String>) -> Self {
        Self::standard("LimitsExceeded", text)
    }

    pub(super) fn unknown_object(path: &str) -> Self {
        Self::standard("UnknownObject", format!("no such object: {path}"))
    }

    pub(super) fn unknown_interface(name: &str) -> Self {
        Self::standard("UnknownInterface", format!("no such interface: {name}"))
    }

    pub(super) fn unknown_method(name: &str) -> Self {
        Self::standard("UnknownMethod", format!("no such method: {name}"))
    }

    pub(super) fn unknown_property(name: &str) -> Self {
        Self::standard("UnknownProperty", format!("no such property: {name}"))
    }

    pub(super) fn read_only(name: &str) -> Self {
        Self::standard("PropertyReadOnly", format!("property {name} is read-only"))
    }

    /// An internal error.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::standard("Failed", text)
    }
}

impl BusError {
    /// The equivalent fault, for the audit log, which uses the same fault names for all protocols.
    pub(super) fn to_fault(&self) -> Fault {
        let known = FaultCode::ALL.iter().find_map(|code| {
            let rest = self.text.strip_prefix(code.name())?;
            let is_of_a_fault = self.name.starts_with(super::interface::BUS_NAME);
            match rest.strip_prefix(": ") {
                Some(extra) if is_of_a_fault => Some(code.of(extra)),
                None if is_of_a_fault && rest.is_empty() => Some(code.bare()),
                Some(_) | None => None,
            }
        });
        known.unwrap_or_else(|| FaultCode::Failed.of(self.text.as_str()))
    }
}

impl From<Fault> for BusError {
    fn from(fault: Fault) -> Self {
        let name = match fault.code {
            // XML-RPC uses the plug-in's own code and name, which is meaningless here.
            FaultCode::NotInWhitelist => "NOT_IN_WHITELIST",
            code => code.name(),
        };
        Self {
            name: format!("{}.Error.{name}", super::interface::BUS_NAME),
            text: fault.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_valid_name() {
        for code in FaultCode::ALL {
            let refusal = BusError::from(code.of("x"));
            assert_eq!(refusal.to_fault(), code.of("x"));
            assert_eq!(BusError::from(code.bare()).to_fault(), code.bare());
            assert!(refusal.text.ends_with(": x"), "{}", refusal.text);
            let name = zbus::names::ErrorName::try_from(refusal.name.as_str());
            assert!(name.is_ok(), "{}", refusal.name);
        }
    }
}
