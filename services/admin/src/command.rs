//! The command line: the schema, first data, first people.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use domain::clock::{Clock as _, SystemClock};
use serde_json::Value;
use store::audit::{self, Action};
use store::{GenericClient, Pool, admin_users, api_tokens};

use crate::api::openapi;
use crate::role::Role;
use crate::settings::Settings;
use crate::suppressions::{self, Address, Kind};
use crate::{autoscale, ledger, password, routes, seed, statement, webhooks};

/// What can be asked on the command line.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the database's schema up to date; safe to run twice and by several at once
    Migrate,
    /// Put demo data into the database: shops of all networks, offers, vouchers, a shopper. Run twice it changes nothing
    Seed {
        /// Where the networks' links lead, such as the simulator's <http://127.0.0.1:8090>
        #[arg(long, default_value = "http://127.0.0.1:8090")]
        links_base: String,
        /// Print the ids as JSON
        #[arg(long)]
        json: bool,
        /// Make this bearer token valid for every scope of the API
        #[arg(long)]
        api_token: Option<String>,
        /// Add a person to the console; may be given several times. For a try only: others on this machine can read it
        #[arg(long = "person", value_name = "ROLE:MAIL:PASSWORD")]
        people: Vec<String>,
    },
    /// Add a person to the console, or give the person a new password and role
    CreateUser {
        /// The mail address to log in with
        email: String,
        /// viewer, operator or finance
        #[arg(long)]
        role: Role,
        /// The person's name; the mail address by default
        #[arg(long)]
        name: Option<String>,
        /// Read the password from this file instead of asking
        #[arg(long)]
        password_file: Option<std::path::PathBuf>,
    },
    /// Keep a person out of the console, at once, until `create-user` lets the person in again
    DisableUser {
        /// The mail address that the person logs in with
        email: String,
    },
    /// Keep as many notifiers as their queues ask for, on Docker Swarm or Compose (SCALE_* are the thresholds)
    Autoscale(autoscale::Options),
    /// Make a token for a program and print it, once
    CreateToken {
        /// Whose program it is
        name: String,
        /// What it may do, with commas; every scope by default
        #[arg(long, value_delimiter = ',')]
        scopes: Vec<String>,
        /// Make it void after so many days; without it, it holds until it is revoked
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3_650))]
        days: Option<u16>,
    },
    /// Stop messages to a mail address or mobile number. Done twice it changes nothing
    Suppress {
        /// The mail address, or the Indian mobile number: mails or texts are stopped
        address: Address,
        /// Which messages: all, security (codes and links), money, reminder, or operations
        #[arg(long, default_value = "all")]
        category: Kind,
        /// Why, for the list and the audit log; nothing personal
        #[arg(long)]
        reason: String,
    },
    /// Let messages to a mail address or mobile number through again. Done twice it changes nothing
    Unsuppress {
        /// The mail address, or the Indian mobile number
        address: Address,
        /// Only the entry of this word (all, security, money, reminder, operations); every entry of the address by default
        #[arg(long)]
        category: Option<Kind>,
        /// Why, for the audit log; nothing personal
        #[arg(long)]
        reason: String,
    },
    /// Stored webhooks: work them off again
    Webhooks {
        /// What to do with them
        #[command(subcommand)]
        deed: webhooks::Command,
    },
    /// Look after the ledger
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Look into a wallet
    #[command(subcommand)]
    Wallet(statement::Command),
    /// List every route with who may use it, a line of JSON each
    Routes,
    /// Print the description of the API (`OpenAPI` 3.1)
    Openapi,
}

impl Command {
    pub(crate) async fn run(self, settings: Settings) -> anyhow::Result<()> {
        match self {
            Self::Routes => {
                print(routes::listing().trim_end());
                Ok(())
            }
            Self::Openapi => {
                print(&serde_json::to_string_pretty(&openapi::document())?);
                Ok(())
            }
            Self::Autoscale(options) => autoscale::run(options, settings.redis()?, settings.scaling).await,
            Self::Migrate => migrate(&settings.postgres()?).await,
            Self::Seed { links_base, json, api_token, people } => {
                let pool = settings.postgres()?;
                let cipher = settings.cipher.context("VOUCHER_KEY is not set; seed seals voucher codes with it")?;
                let seeded = seed::run(&pool, &cipher, &links_base).await?;
                if let Some(token) = api_token {
                    store_token(&pool, "demo", &token, &[], None).await?;
                }
                for person in people {
                    let [role, email, password] = person
                        .splitn(3, ':')
                        .collect::<Vec<_>>()
                        .try_into()
                        .map_err(|_parts: Vec<&str>| anyhow::anyhow!("--person takes ROLE:MAIL:PASSWORD"))?;
                    let role: Role = role.parse().map_err(|error: String| anyhow::anyhow!(error))?;
                    create_user(&pool, email, email, role, password).await?;
                }
                print(&if json { serde_json::to_string_pretty(&seeded)? } else { seeded.to_string() });
                Ok(())
            }
            Self::CreateUser { email, role, name, password_file } => {
                let password = read_password(password_file.as_deref())?;
                create_user(&settings.postgres()?, &email, name.as_deref().unwrap_or(&email), role, &password).await?;
                print(&format!("{email} may log in as {role}"));
                Ok(())
            }
            Self::DisableUser { email } => {
                disable_user(&settings.postgres()?, &email).await?;
                print(&format!("{email} may not log in any more"));
                Ok(())
            }
            Self::Suppress { address, category, reason } => {
                suppressions::suppress(&settings.postgres()?, &address, category, &reason).await
            }
            Self::Unsuppress { address, category, reason } => {
                suppressions::unsuppress(&settings.postgres()?, &address, category, &reason).await
            }
            Self::Webhooks { deed } => deed.run(&settings.postgres()?).await,
            Self::Ledger(command) => ledger::run(command, &settings.postgres()?).await,
            Self::Wallet(command) => statement::run(command, &settings.postgres()?).await,
            Self::CreateToken { name, scopes, days } => {
                let expires_at = days.map(|days| SystemClock.now() + TimeDelta::days(days.into()));
                let token = password::token()?;
                store_token(&settings.postgres()?, &name, &token, &scopes, expires_at).await?;
                print(&token);
                // Beside the token, for whoever looks: what is printed is the token, for programs that take it from there.
                let until = expires_at.map_or_else(
                    || "until it is revoked".to_owned(),
                    |at| format!("until {}", at.format("%Y-%m-%d %H:%M UTC")),
                );
                let _closed = writeln!(std::io::stderr(), "It is good {until}.");
                Ok(())
            }
        }
    }
}

/// A line for whoever called.
pub(crate) fn print(text: &str) {
    // A reader that went away is no error.
    let _closed = writeln!(std::io::stdout(), "{text}");
}

async fn migrate(pool: &Pool) -> anyhow::Result<()> {
    let applied = store::migrate::run(pool).await?;
    if applied.is_empty() {
        print("the schema is up to date");
    } else {
        print(&format!("applied {}", applied.join(", ")));
    }
    Ok(())
}

fn read_password(file: Option<&std::path::Path>) -> anyhow::Result<String> {
    let text = if let Some(path) = file {
        std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
    } else {
        if std::io::stdin().is_terminal() {
            let _closed = write!(std::io::stderr(), "Password (it is shown while you type): ");
        }
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("no password could be read from the input")?;
        line
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

async fn create_user(pool: &Pool, email: &str, name: &str, role: Role, password: &str) -> anyhow::Result<()> {
    let address: domain::contact::EmailAddress = email.parse()?;
    let hash = password::hash(password)?;
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let id = admin_users::upsert(&transaction, address.as_str(), name, &hash, role.word()).await?;
    // Who had the old password is out.
    admin_users::close_sessions_of(&transaction, id).await?;
    let after = Some(serde_json::json!({ "role": role.word() }));
    note(&transaction, "admin.create", &format!("admin:{id}"), after).await?;
    transaction.commit().await?;
    Ok(())
}

async fn disable_user(pool: &Pool, email: &str) -> anyhow::Result<()> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let person = admin_users::find_by_email(&transaction, email).await?;
    let person = person.with_context(|| format!("there is nobody with the mail address {email}"))?;
    admin_users::disable(&transaction, person.id).await?;
    note(&transaction, "admin.disable", &format!("admin:{}", person.id), None).await?;
    transaction.commit().await?;
    Ok(())
}

/// Writes down what was done on the command line.
async fn note(client: &impl GenericClient, action: &str, target: &str, after: Option<Value>) -> anyhow::Result<()> {
    let action = Action { actor: "cli", role: "cli", action, target, after, ..Action::default() };
    audit::insert(client, &action).await?;
    Ok(())
}

async fn store_token(
    pool: &Pool,
    name: &str,
    token: &str,
    scopes: &[String],
    expires_at: Option<DateTime<Utc>>,
) -> anyhow::Result<()> {
    if token.len() < 24 {
        bail!("a token has at least 24 characters");
    }
    let known = routes::scopes();
    if let Some(unknown) = scopes.iter().find(|scope| !known.contains(&scope.as_str())) {
        bail!("{unknown:?} is no scope; the scopes are {}", known.join(", "));
    }
    let all: Vec<String> = known.iter().map(ToString::to_string).collect();
    let scopes = if scopes.is_empty() { all } else { scopes.to_vec() };
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    api_tokens::upsert_until(&transaction, name, token, &scopes, "cli", expires_at).await?;
    let after = Some(serde_json::json!({ "scopes": scopes, "expires_at": expires_at }));
    note(&transaction, "token.create", &format!("token:{name}"), after).await?;
    transaction.commit().await?;
    Ok(())
}
