//! Users, for admins.

use std::sync::Arc;

use serde_json::{Value, json};

use super::login::required;
use super::reply::{Reply, done, message, missing, success};
use crate::hub::api::call::Call;
use crate::hub::api::manage_users::{create_user, remove_user};
use crate::hub::server::HubContext;
use crate::hub::users::{AccessLimits, Role, check_user_name};

/// `GET /users/`.
// Differs: in Cesi every user may read and delete users.
pub(in crate::hub::api) async fn users(hub: &Arc<HubContext>, _: Call) -> Reply {
    let users = hub.users.all();
    let users: Vec<Value> = users
        .iter()
        .map(|user| json!({"name": user.name, "type": user.role.user_type()}))
        .collect();
    success(&json!({"status": "success", "users": users}))
}

/// `POST /users/`.
// Differs: in Cesi one name that is taken makes all later calls about users fail.
pub(in crate::hub::api) async fn add_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    let members = call.members();
    let [name, password, user_type] = required(&members, ["username", "password", "usertype"])?;
    let role = user_type.trim().parse().ok().and_then(Role::of_user_type);
    let role = role.ok_or_else(|| missing(&["usertype"]))?;
    if check_user_name(&name).is_err() {
        return Err(missing(&["username"]));
    }
    create_user(hub, &call, &name, &password, role, AccessLimits::default()).await?;
    message("User added")
}

/// `DELETE /users/U/`.
pub(in crate::hub::api) async fn delete_user(hub: &Arc<HubContext>, call: Call) -> Reply {
    remove_user(hub, &call, call.param("user")).await?;
    done()
}
