//! `subscriptions/listen`: one stream to a modern client from however many upstreams of either era.
//!
//! Source: MCP 2026-07-28 `basic/patterns/subscriptions`; SEP-2663, "Task Status Notifications".

use std::sync::Arc;
use std::time::SystemTime;

use mcpg_protocol::streams::{Changes, Filter, acknowledged};
use mcpg_protocol::{RpcError, TargetKind, raw};
use mcpg_sdk::Target;
use tokio::time::Instant;

use super::live::{AGREED_WITHIN, Judged, Live, Wake, Wanted};
use super::recheck::{locate, permits};
use super::refuse::refuse;
use super::voice::Voice;
use crate::revision::Route;
use crate::serve::{Admitted, Client, ClientError};

const METHOD: &str = "subscriptions/listen";

/// Serves a subscription.
///
/// # Errors
/// When the client left, or what it would get was withheld.
pub async fn listen(admitted: Admitted, client: &mut dyn Client) -> Result<(), ClientError> {
    let body = admitted.body.clone();
    let limits = admitted.revision.message;
    let Ok(text) = str::from_utf8(&body) else {
        return refuse(client, RpcError::ParseError, None, RpcError::ParseError.message()).await;
    };
    let paths: [&[&str]; 2] =
        [&["id"], &["params", "_meta", "io.modelcontextprotocol/clientCapabilities", "extensions", TASKS]];
    let [id, tasks] = raw::find(text, paths, &limits).unwrap_or_default();
    let id = id.map_or("null", |id| id.text);
    let filter = match Filter::of_message(text, &limits) {
        Ok(filter) => filter,
        Err(error) => return refuse(client, RpcError::InvalidParams, Some(id), &error.to_string()).await,
    };
    if !admitted.accept.event_stream {
        let message = "`Accept` does not allow `text/event-stream`";
        return refuse(client, RpcError::NotAcceptable, Some(id), message).await;
    }
    if !filter.tasks.is_empty() && tasks.is_none() {
        return refuse_tasks(client, id).await;
    }
    let aims = Aims::of(&filter, &admitted).await;
    let subscription = Subscribed { live: Live::new(admitted, METHOD), aims };
    subscription.serve(id.into(), filter.changes, client).await
}

const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What a client wants of bindings by name. Names are looked up once: a stream means what its client was told that it means.
struct Aims {
    changes: bool,
    /// The binding's id, the upstream's own URI and the endpoint's.
    resources: Vec<Aim>,
    /// The same of tasks.
    tasks: Vec<Aim>,
}

struct Aim {
    binding: Box<str>,
    own: Box<str>,
    here: Box<str>,
}

impl Aims {
    async fn of(filter: &Filter, admitted: &Admitted) -> Self {
        let mut aims = Self { changes: !filter.changes.is_empty(), resources: Vec::new(), tasks: Vec::new() };
        for uri in &filter.resources {
            if let Some((binding, own)) = locate(admitted, TargetKind::Resource, uri).await {
                aims.resources.push(Aim { binding, own, here: uri.clone() });
            }
        }
        for task in &filter.tasks {
            if let Some((binding, own)) = locate(admitted, TargetKind::Task, task).await {
                aims.tasks.push(Aim { binding, own, here: task.clone() });
            }
        }
        aims
    }

    /// What of it the caller may have.
    async fn wanted(&self, admitted: &Admitted) -> Vec<(Arc<Route>, Wanted)> {
        let mut all = Vec::with_capacity(admitted.routes.len());
        for route in &admitted.routes {
            let mut wanted = Wanted { changes: self.changes, ..Wanted::default() };
            for aim in self.resources.iter().filter(|aim| *aim.binding == *route.id) {
                if permits(admitted, &route.id, "resources/read", Target::Resource(&aim.own)).await {
                    wanted.resources.push(aim.own.clone());
                }
            }
            for aim in self.tasks.iter().filter(|aim| *aim.binding == *route.id) {
                if permits(admitted, &route.id, "tasks/get", Target::Binding).await {
                    wanted.tasks.push(aim.own.clone());
                }
            }
            all.push((Arc::clone(route), wanted));
        }
        all
    }
}

struct Subscribed {
    live: Live,
    aims: Aims,
}

impl Subscribed {
    async fn serve(
        mut self,
        id: Box<str>,
        changes: Changes,
        client: &mut dyn Client,
    ) -> Result<(), ClientError> {
        self.follow().await;
        let honoured = tokio::select! {
            biased;
            () = client.gone() => return Err(ClientError::Gone),
            honoured = self.honoured(changes) => honoured,
        };
        client.open_stream(&[]).await?;
        let voice = Voice::Subscription { id, changes: honoured.changes };
        if let Voice::Subscription { id, .. } = &voice {
            client.event(&voice.message(acknowledged(id, &honoured))).await?;
        }
        drop(honoured);
        if self.live.is_outdated() && self.judge().await == Judged::Over {
            return voice.end(client).await;
        }
        loop {
            tokio::select! {
                biased;
                () = client.gone() => return Err(ClientError::Gone),
                wake = self.live.wake() => match wake {
                    Wake::Leaving => return voice.end(client).await,
                    Wake::Judge if self.judge().await == Judged::Over => return voice.end(client).await,
                    Wake::Judge => {}
                    Wake::News => {
                        let news = self.live.news();
                        if !news.lost.is_empty() {
                            return voice.end(client).await;
                        }
                        voice.tell(news, &self.live, client).await?;
                    }
                },
            }
        }
    }

    async fn follow(&mut self) {
        let wanted = self.aims.wanted(&self.live.admitted).await;
        self.live.listen_to(wanted);
    }

    async fn judge(&mut self) -> Judged {
        let judged = self.live.judge(SystemTime::now()).await;
        // Policies may read the clock, so what may be read is looked at even where the revision is the same.
        if judged != Judged::Over {
            self.follow().await;
        }
        judged
    }

    /// What is honoured: what some upstream has agreed to tell.
    async fn honoured(&self, changes: Changes) -> Filter {
        let by = Instant::now() + AGREED_WITHIN;
        let mut honoured = Filter::default();
        for attached in self.live.attached() {
            let told = attached.honoured(by).await;
            honoured.changes = honoured.changes.or(told.changes.and(changes));
            let here = |aims: &[Aim], own: &[Box<str>]| -> Vec<Box<str>> {
                let aims =
                    aims.iter().filter(|aim| *aim.binding == *attached.route.id && own.contains(&aim.own));
                aims.map(|aim| aim.here.clone()).collect()
            };
            honoured.resources.extend(here(&self.aims.resources, &told.resources));
            honoured.tasks.extend(here(&self.aims.tasks, &told.tasks));
        }
        honoured
    }
}

async fn refuse_tasks(client: &mut dyn Client, id: &str) -> Result<(), ClientError> {
    let error = RpcError::MissingClientCapability;
    let body = format!(
        concat!(
            r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{},"message":"{}","data":"#,
            r#"{{"reason":"{}","requiredCapabilities":{{"extensions":{{"{}":{{}}}}}}}}}}}}"#
        ),
        id,
        error.code(),
        error.message(),
        error.reason(),
        TASKS
    );
    client.json(error.status(), &[], body.into()).await
}
