//! Reads an item by the interface that the server has.

use super::super::protocol::{FailureKind, ItemFailure, NacosApi, NacosItem};
use super::servers::{FoundApi, NacosClient, NacosServer};
use super::text::ItemRead;
use super::{v1, v3};

impl NacosClient {
    /// Reads the item from the first server that answers.
    pub(in super::super) async fn read(&self, item: &NacosItem) -> Result<ItemRead, ItemFailure> {
        self.read_anywhere(item).await.1
    }

    /// Reads the item, and returns the server that answered.
    pub(super) async fn read_anywhere(
        &self,
        item: &NacosItem,
    ) -> (&NacosServer, Result<ItemRead, ItemFailure>) {
        self.ask_each(async |server| self.read_from(server, item).await)
            .await
    }

    /// Reads the item from a server, and remembers which interface it has.
    pub(super) async fn read_from(
        &self,
        server: &NacosServer,
        item: &NacosItem,
    ) -> Result<ItemRead, ItemFailure> {
        let known = server.state().api;
        let result = self.read_by(server, item, known).await;
        if let Err(failure) = &result
            && failure.kind == FailureKind::Away
        {
            server.state().forget_version();
        }
        result
    }

    async fn read_by(
        &self,
        server: &NacosServer,
        item: &NacosItem,
        known: Option<FoundApi>,
    ) -> Result<ItemRead, ItemFailure> {
        let tries_v1 = match item.api {
            NacosApi::Auto => known != Some(FoundApi::V3),
            NacosApi::V1 => true,
            NacosApi::V3 => false,
        };
        if tries_v1 {
            let result = v1::read(self, server, item).await;
            if !matches!(result, Ok(None)) {
                server.state().api = Some(FoundApi::V1);
            }
            if let Some(read) = result? {
                return Ok(read);
            }
        }
        if item.api != NacosApi::V1 {
            let result = v3::read(self, server, item).await;
            if !matches!(result, Ok(None)) {
                server.state().api = Some(FoundApi::V3);
            }
            if let Some(read) = result? {
                return Ok(read);
            }
        }
        server.state().forget_version();
        Err(Self::no_interface(server, item.api))
    }

    /// The interface that the server has, after it was read from.
    pub(super) fn api_of(server: &NacosServer, item: &NacosItem) -> FoundApi {
        match item.api {
            NacosApi::V1 => FoundApi::V1,
            NacosApi::V3 => FoundApi::V3,
            NacosApi::Auto => server.state().api.unwrap_or(FoundApi::V1),
        }
    }
}
