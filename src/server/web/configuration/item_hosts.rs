//! The hosts that use the item of the Nacos server: an edit of the item changes all of them.

use maud::{Markup, html};

use super::config_request::{ConfigRequest, text_of};
use crate::api::ConfigCall;
use crate::web::texts::Text;

/// Maximum number of hosts that are named.
const NAMED_MAX: usize = 50;

/// A sentence with the hosts.
pub(super) async fn item_hosts(request: &ConfigRequest<'_>) -> Markup {
    let asked = request
        .call("supervisord.listNacosListeners", ConfigCall::ListListeners)
        .await;
    let Ok(answer) = asked else {
        return html! { p.hosts { (request.say(Text::HostsUnknown)) } };
    };
    let none = Vec::new();
    let hosts = answer["hosts"].as_array().unwrap_or(&none);
    let language = request.request.language;
    let names: Vec<String> = hosts
        .iter()
        .take(NAMED_MAX)
        .map(|host| {
            let address = text_of(host, "address");
            match host["current"] == true {
                true => address.to_owned(),
                false => language.fill(Text::HostIsBehind, &[&address]),
            }
        })
        .collect();
    let mut text = match names.is_empty() {
        true => language.say(Text::NoItemHosts).to_owned(),
        false => {
            let names = names.join(language.say(Text::Separator));
            language.fill(Text::ItemHosts, &[&names])
        }
    };
    if hosts.len() > NAMED_MAX {
        text.push_str(&language.fill(Text::AndMore, &[&(hosts.len() - NAMED_MAX)]));
    }
    html! { p.hosts { (text) } }
}
