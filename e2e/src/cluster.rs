//! A cluster, as tests see it.

use std::{
    env,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace as Object, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::sync::OnceCell;

use crate::{
    control_plane::ControlPlane,
    definitions,
    folder::Folder,
    kubeconfig::Access,
    kubectl::{Kubectl, Said},
    namespace::Namespace,
    patience::eventually,
    process::Process,
    program::Program,
};

/// Name the kubeconfig of a cluster to run the tests on. The first one that is
/// set counts, and if it is empty, the tests start a control plane of their own.
const GIVEN: [&str; 2] = ["FLIGHTGATE_E2E_KUBECONFIG", "KUBECONFIG"];

/// An API server and an administrator's access to it.
pub struct Cluster {
    folder: Folder,
    admin: Access,
    kubeconfig: PathBuf,
    kubectl: Kubectl,
    is_given: bool,
    files: AtomicUsize,
}

impl Cluster {
    /// The cluster of all tests that need no more than namespaces: the one that
    /// is given, else a control plane that the first test starts. The
    /// definitions are installed.
    pub async fn shared() -> &'static Self {
        static GIVEN_ONE: OnceCell<Cluster> = OnceCell::const_new();
        static OWN: OnceCell<ControlPlane> = OnceCell::const_new();
        match given() {
            Some(kubeconfig) => {
                let start = async || {
                    let cluster = Self::given(&kubeconfig).await;
                    cluster.install_definitions().await;
                    cluster
                };
                GIVEN_ONE.get_or_init(start).await
            }
            None => OWN.get_or_init(ControlPlane::start).await.cluster(),
        }
    }

    #[expect(clippy::print_stderr, reason = "it must be seen whose cluster this is")]
    async fn given(kubeconfig: &Path) -> Self {
        let folder = Folder::new();
        let kubectl = Kubectl::installed();
        let view = [
            "config",
            "view",
            "--raw",
            "--flatten",
            "--minify",
            "--output",
            "json",
        ];
        let text = kubectl.run(&folder, kubeconfig, &view, None).await.ok();
        let admin = Access::flattened(&text);
        eprintln!("e2e: the tests run on {}", admin.server());
        Self::with(folder, admin, kubectl, true)
    }

    /// One that was started for the tests.
    pub(crate) fn own(admin: Access) -> Self {
        Self::with(Folder::new(), admin, Kubectl::built(), false)
    }

    fn with(folder: Folder, admin: Access, kubectl: Kubectl, is_given: bool) -> Self {
        Self {
            kubeconfig: folder.write("admin.kubeconfig", admin.text()),
            folder,
            admin,
            kubectl,
            is_given,
            files: AtomicUsize::new(0),
        }
    }

    /// A client that may do everything, for the present test.
    pub async fn client(&self) -> Client {
        self.admin.client().await
    }

    /// The kubeconfig of the same.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The URL of the API server.
    pub fn server(&self) -> &str {
        self.admin.server()
    }

    /// A namespace of the test's own; `about` is a part of its name.
    pub async fn namespace(&self, about: &str) -> Namespace {
        let name = format!("e2e-{about}-{:08x}", getrandom::u32().unwrap());
        let object = Object {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Object::default()
        };
        let api: Api<Object> = Api::all(self.client().await);
        api.create(&PostParams::default(), &object).await.unwrap();
        let delete = self
            .is_given
            .then(|| self.kubectl.command(&self.kubeconfig));
        Namespace::new(name, delete)
    }

    /// A kubeconfig for a `ServiceAccount`, by a token that works for an hour. If
    /// the account is not there, it is made.
    pub async fn kubeconfig_of(&self, namespace: &str, account: &str) -> PathBuf {
        let access = self.admin.with_token(&self.token(namespace, account).await);
        self.write(account, &access)
    }

    /// A kubeconfig for a user of these groups.
    pub fn kubeconfig_of_user(&self, user: &str, groups: &[&str]) -> PathBuf {
        self.write(user, &self.admin.acting_as(user, groups))
    }

    /// A client that is a `ServiceAccount`.
    pub async fn client_of(&self, namespace: &str, account: &str) -> Client {
        let token = self.token(namespace, account).await;
        self.admin.with_token(&token).client().await
    }

    async fn token(&self, namespace: &str, account: &str) -> String {
        let api: Api<ServiceAccount> = Api::namespaced(self.client().await, namespace);
        let object = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(account.to_owned()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            created => drop(created.unwrap()),
        }
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = api
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .unwrap();
        answer.status.unwrap().token
    }

    fn write(&self, whose: &str, access: &Access) -> PathBuf {
        let name = format!("{}.kubeconfig", self.file_name(whose));
        self.folder.write(&name, access.text())
    }

    fn file_name(&self, about: &str) -> String {
        let about = about.replace(['/', ':'], "-");
        format!("{about}-{}", self.files.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs kubectl as administrator.
    pub async fn kubectl(&self, arguments: &[&str]) -> Said {
        self.kubectl
            .run(&self.folder, &self.kubeconfig, arguments, None)
            .await
    }

    /// Runs kubectl as administrator, with this on its standard input.
    pub async fn kubectl_with(&self, arguments: &[&str], input: &str) -> Said {
        self.kubectl
            .run(&self.folder, &self.kubeconfig, arguments, Some(input))
            .await
    }

    /// Runs `kubectl flightgate` with this kubeconfig.
    pub async fn plugin(&self, kubeconfig: &Path, arguments: &[&str]) -> Said {
        self.kubectl
            .plugin(&self.folder, kubeconfig, arguments)
            .await
    }

    /// Applies the definitions, and waits until their kinds are served.
    pub async fn install_definitions(&self) {
        let folder = definitions::folder().display().to_string();
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename",
            &folder,
        ];
        let applied = self.kubectl(&apply).await;
        definitions::established(self.client().await, &applied).await;
    }

    /// A program of this workspace, to be started; its log stands beside the
    /// kubeconfigs.
    pub fn program(&self, name: &str) -> Program {
        let log = format!("{}.log", self.file_name(name));
        Program::new(name, self.folder.path(&log))
    }

    /// Waits for the `ServiceAccount` that every namespace gets by itself.
    pub(crate) async fn default_account(&self, controllers: &mut Process) {
        let api: Api<ServiceAccount> = Api::default_namespaced(self.client().await);
        eventually("the default ServiceAccount", async || {
            controllers.assert_runs();
            let found = api.get("default").await.map(drop);
            found.map_err(|error| format!("{error}\n{}", controllers.last_words()))
        })
        .await;
    }
}

fn given() -> Option<PathBuf> {
    let value = GIVEN.iter().find_map(env::var_os)?;
    (!value.is_empty()).then(|| value.into())
}
