//! Introspection XML for a path. This module does not know whether the object exists.
//!
//! # Source
//! D-Bus specification, "Introspection Data Format".

use super::interface::{BUS_METHODS, ObjectKind, PROPERTIES, SIGNALS};

const HEAD: &str = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n\
    \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n";

const PEER: &str = "  <interface name=\"org.freedesktop.DBus.Peer\">
    <method name=\"Ping\"/>
    <method name=\"GetMachineId\">
      <arg name=\"machine_uuid\" type=\"s\" direction=\"out\"/>
    </method>
  </interface>
  <interface name=\"org.freedesktop.DBus.Introspectable\">
    <method name=\"Introspect\">
      <arg name=\"xml_data\" type=\"s\" direction=\"out\"/>
    </method>
  </interface>
";

const PROPERTIES_INTERFACE: &str = "  <interface name=\"org.freedesktop.DBus.Properties\">
    <method name=\"Get\">
      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"property_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"value\" type=\"v\" direction=\"out\"/>
    </method>
    <method name=\"GetAll\">
      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"properties\" type=\"a{sv}\" direction=\"out\"/>
    </method>
    <method name=\"Set\">
      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"property_name\" type=\"s\" direction=\"in\"/>
      <arg name=\"value\" type=\"v\" direction=\"in\"/>
    </method>
    <signal name=\"PropertiesChanged\">
      <arg name=\"interface_name\" type=\"s\"/>
      <arg name=\"changed_properties\" type=\"a{sv}\"/>
      <arg name=\"invalidated_properties\" type=\"as\"/>
    </signal>
  </interface>
";

const OBJECT_MANAGER: &str = "  <interface name=\"org.freedesktop.DBus.ObjectManager\">
    <method name=\"GetManagedObjects\">
      <arg name=\"objects\" type=\"a{oa{sa{sv}}}\" direction=\"out\"/>
    </method>
    <signal name=\"InterfacesAdded\">
      <arg name=\"object\" type=\"o\"/>
      <arg name=\"interfaces\" type=\"a{sa{sv}}\"/>
    </signal>
    <signal name=\"InterfacesRemoved\">
      <arg name=\"object\" type=\"o\"/>
      <arg name=\"interfaces\" type=\"as\"/>
    </signal>
  </interface>
";

/// The introspection XML of a path. `kind`: the object there; `None`: no object. `children`: the path elements below
/// it.
pub(super) fn introspection_xml(kind: Option<ObjectKind>, children: &[String]) -> String {
    let mut xml = HEAD.to_owned();
    xml.push_str(PEER);
    if let Some(kind) = kind {
        xml.push_str(PROPERTIES_INTERFACE);
        if kind == ObjectKind::Manager {
            xml.push_str(OBJECT_MANAGER);
        }
        push_interface(&mut xml, kind);
    }
    // Path elements contain no characters that XML must escape.
    for child in children {
        xml.push_str(&format!("  <node name=\"{child}\"/>\n"));
    }
    xml.push_str("</node>\n");
    xml
}

/// Appends the interface of an object kind.
fn push_interface(xml: &mut String, kind: ObjectKind) {
    xml.push_str(&format!("  <interface name=\"{}\">\n", kind.interface()));
    for call in BUS_METHODS.iter().filter(|call| call.kind == kind) {
        xml.push_str(&format!("    <method name=\"{}\">\n", call.name));
        for argument in call.arguments() {
            xml.push_str(&format!(
                "      <arg name=\"{}\" type=\"{}\" direction=\"in\"/>\n",
                argument.name, argument.signature
            ));
        }
        for (name, signature) in call.reply.values() {
            xml.push_str(&format!(
                "      <arg name=\"{name}\" type=\"{signature}\" direction=\"out\"/>\n"
            ));
        }
        xml.push_str("    </method>\n");
    }
    for signal in SIGNALS.iter().filter(|signal| signal.kind == kind) {
        xml.push_str(&format!("    <signal name=\"{}\">\n", signal.name));
        for (name, signature) in signal.values {
            xml.push_str(&format!(
                "      <arg name=\"{name}\" type=\"{signature}\"/>\n"
            ));
        }
        xml.push_str("    </signal>\n");
    }
    for property in PROPERTIES.iter().filter(|property| property.kind == kind) {
        let emits = if property.changes { "true" } else { "const" };
        xml.push_str(&format!(
            "    <property name=\"{}\" type=\"{}\" access=\"read\">\n      \
             <annotation name=\"org.freedesktop.DBus.Property.EmitsChangedSignal\" value=\"{emits}\"/>\n    \
             </property>\n",
            property.name, property.signature
        ));
    }
    xml.push_str("  </interface>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_described_on_its_own_object() {
        for kind in ObjectKind::ALL {
            let xml = introspection_xml(Some(kind), &["a_2db".to_owned()]);
            for call in BUS_METHODS {
                let line = format!("<method name=\"{}\">", call.name);
                let elsewhere = BUS_METHODS
                    .iter()
                    .any(|c| c.kind == kind && c.name == call.name);
                assert_eq!(xml.contains(&line), elsewhere, "{}", call.name);
            }
            for (opening, closing) in [
                ("<method ", "</method>"),
                ("<interface ", "</interface>"),
                ("<signal ", "</signal>"),
            ] {
                let empty = xml.matches(opening).count() - xml.matches(closing).count();
                assert_eq!(empty, usize::from(opening == "<method "), "{opening}: Ping");
            }
            assert!(xml.contains("<node name=\"a_2db\"/>"));
            assert_eq!(xml.contains("ObjectManager"), kind == ObjectKind::Manager);
        }
        assert!(!introspection_xml(None, &[]).contains("Supervisor1"));
    }
}
