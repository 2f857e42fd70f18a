//! Executes bound calls: authorises them, asks the engine, and reads the logs that they ask for.

use std::sync::Arc;

use tokio::sync::watch;

use super::effective_config::config_json;
use super::log_parts;
use super::method_result::MethodResult;
use super::process_report::{ReportSource, may_for_all};
use super::security_report::security_json;
use super::usage_lines::usage_lines;
use super::usage_sources::UsageSources;
use crate::api::{
    BoundCall, Caller, Fault, FaultCode, Method, Permission, Reply, Request, RpcInterfaces,
    find_method, method_names,
};
use crate::control::ControlHandle;
use crate::http_server::budget::BudgetClient;

/// What the execution of a call needs besides the call.
pub(in crate::server) struct CallContext<'a> {
    pub(in crate::server) control: &'a ControlHandle,
    /// The methods that the endpoint offers.
    pub(in crate::server) interface: &'a RpcInterfaces,
    pub(in crate::server) caller: &'a Caller,
    /// Decides how much of a log the caller may read at a time.
    pub(in crate::server) client: BudgetClient,
    /// Where the figures of processes come from. `None`: the endpoint has no method that needs them.
    pub(in crate::server) usage: Option<(&'a Arc<UsageSources>, &'a watch::Receiver<bool>)>,
}

impl CallContext<'_> {
    /// Executes a call of `method`.
    ///
    /// # Errors
    /// A refusal of the Control API, the engine's fault, or that of a log that cannot be read. A multicall is refused:
    /// endpoints that have it execute its calls one by one.
    pub(in crate::server) async fn execute(
        &self,
        method: &'static Method,
        bound: BoundCall,
    ) -> Result<MethodResult, Fault> {
        let ask = |request| self.control.ask(self.caller, method, request);
        let most = log_parts::read_limit(self.client);
        let texts = |texts: Vec<&str>| Reply::Lines(texts.into_iter().map(str::to_owned).collect());
        let reply = match bound {
            BoundCall::Engine(request) => ask(request).await?,
            BoundCall::Wildcard(request, given) => {
                ask(request).await.map_err(|fault| match fault.code {
                    FaultCode::BadName => FaultCode::BadName.of(given),
                    _ => fault,
                })?
            }
            BoundCall::ProcessTable(request, columns) => match ask(request).await? {
                Reply::Processes(views) => return Ok(MethodResult::Table(views, columns)),
                reply => reply,
            },
            BoundCall::Configuration(call) => {
                self.control
                    .ask_about_config(self.caller, method, call)
                    .await?
            }
            BoundCall::ProcessDetails(name) => {
                let (usage, stop) = self.usage.ok_or_else(|| FaultCode::UnknownMethod.bare())?;
                let source = ReportSource {
                    control: self.control,
                    usage,
                    stop,
                };
                let report = source.report(self.caller, &name).await?;
                Reply::Text(report.to_json().to_string())
            }
            BoundCall::Usage(request) => self.usage(method, request).await?,
            BoundCall::Security(names) => self.security(method, &names).await?,
            BoundCall::ProcessConfig(name) => {
                let Reply::Details(details) = ask(Request::ProcessDetails(name)).await? else {
                    return Err(FaultCode::Failed.bare());
                };
                let with_secrets = may_for_all(self.caller, Permission::Configure);
                Reply::Text(config_json(&details, with_secrets).to_string())
            }
            BoundCall::Constant(text) => {
                // Ask the engine, because while the daemon is stopping all methods but one fail.
                ask(Request::State).await?;
                Reply::Text(text.to_owned())
            }
            BoundCall::ReadLog { of, offset, length } => {
                let source = log_parts::log_source(ask(Request::LogFile(of)).await?);
                Reply::Text(log_parts::read_log(source, offset, length, most).await?)
            }
            BoundCall::TailLog { of, offset, length } => {
                let source = log_parts::log_source(ask(Request::LogFile(of)).await?);
                let tail = log_parts::tail_log(source, offset, length, most).await?;
                return Ok(MethodResult::Tail(tail));
            }
            BoundCall::ListMethods => texts(method_names(self.interface)),
            BoundCall::MethodHelp(name) => Reply::Text(self.offered(&name)?.help()),
            BoundCall::MethodSignature(name) => texts(self.offered(&name)?.signature()),
            BoundCall::Multicall(_) => return Err(FaultCode::IncorrectParameters.bare()),
        };
        Ok(MethodResult::Reply(reply))
    }

    /// What processes use.
    async fn usage(&self, method: &'static Method, request: Request) -> Result<Reply, Fault> {
        let (usage, _) = self.usage.ok_or_else(|| FaultCode::UnknownMethod.bare())?;
        match self.control.ask(self.caller, method, request).await? {
            Reply::Processes(views) => Ok(Reply::Lines(usage_lines(usage, &views).await)),
            reply => Ok(reply),
        }
    }

    /// How well programs are confined.
    async fn security(&self, method: &'static Method, names: &[String]) -> Result<Reply, Fault> {
        Request::SomeProcessInfo(names.to_vec()).check_names()?;
        let request = Request::AllConfigInfo;
        match self.control.ask(self.caller, method, request).await? {
            Reply::Configs(views) => Ok(Reply::Text(security_json(&views, names).to_string())),
            reply => Ok(reply),
        }
    }

    /// The method that a caller asks about.
    fn offered(&self, name: &str) -> Result<&'static Method, Fault> {
        find_method(name)
            .filter(|method| self.interface.offers(method))
            .ok_or_else(|| FaultCode::SignatureUnsupported.bare())
    }
}
