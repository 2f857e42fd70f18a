//! The methods `system.*`, which describe the interface itself.

use super::super::method::{BoundCall, Method, Param, ParamKind};
use super::super::{FaultCode, Permission, ResultKind};
use super::params::param;

const METHOD: Param = param("name", ParamKind::Word, "Name of a method, with its prefix");

/// The methods about methods.
pub(super) const METHODS: &[Method] = {
    use FaultCode::SignatureUnsupported;
    use Permission::Status;
    use ResultKind::{Calls, Text, Texts};
    &[
        Method {
            names: &["system.listMethods"],
            params: &[],
            returns: Texts,
            result: "Names, in order",
            faults: &[],
            permission: Status,
            route: "GET /methods",
            doc: "Return the names of all methods.",
            bind: |_| Ok(BoundCall::ListMethods),
        },
        Method {
            names: &["system.methodHelp"],
            params: &[METHOD],
            returns: Text,
            result: "The description",
            faults: &[SignatureUnsupported],
            permission: Status,
            route: "GET /methods/{name}/help",
            doc: "Return the description of a method, its parameters and its result.",
            bind: |args| Ok(BoundCall::MethodHelp(args.text()?)),
        },
        Method {
            names: &["system.methodSignature"],
            params: &[METHOD],
            returns: Texts,
            result: "[type of the result, types of the parameters…]",
            faults: &[SignatureUnsupported],
            permission: Status,
            route: "GET /methods/{name}/signature",
            doc: "Return the types of the result and the parameters of a method.",
            bind: |args| Ok(BoundCall::MethodSignature(args.text()?)),
        },
        Method {
            names: &["system.multicall"],
            params: &[param(
                "calls",
                ParamKind::List,
                "Structs with methodName and, if the method has parameters, params",
            )],
            returns: Calls,
            result: "For each call its result, or a struct with faultCode and faultString",
            faults: &[],
            permission: Status,
            route: "",
            doc: "Make several calls, one after another, in one request. Calls after a failed call are made too.",
            bind: |args| Ok(BoundCall::Multicall(args.list()?)),
        },
    ]
};
