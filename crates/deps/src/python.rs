//! Python packages: what uv locked, which wheel fits, and what is in it.

mod entry_points;
mod installed;
mod lock;
mod name;
mod record;
mod tags;
mod uv_lock;
mod wheel;

pub use lock::{Locked, read_lock, requirements_of_lock};
pub use name::{WheelName, normalized};
pub use tags::{Tags, Target};
pub use uv_lock::check_uv_lock;
pub use wheel::{Requested, Scheme, install};
