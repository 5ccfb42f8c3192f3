//! What can go wrong between us and a GPU.

/// A failure of a device, or a request it cannot meet.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// Nothing that was asked for is there.
    #[error("no GPU matches {asked:?}: {available}")]
    NoSuchDevice {
        /// What was asked for.
        asked: String,
        /// What there is, with reasons where something is not used.
        available: String,
    },
    /// There is no GPU that would be chosen by itself.
    #[error("no GPU can be used: {available}")]
    NoUsableDevice {
        /// What there is, each with the reason.
        available: String,
    },
    /// Several devices match equally well.
    #[error("{asked:?} matches several GPUs: {matching}; name one of them in full or by its index")]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// Those that match.
        matching: String,
    },
    /// A limit of the device is too low.
    #[error("{device}: {limit} is {found}, at least {needed} is needed: choose another device, or --device cpu")]
    Limit {
        /// The device.
        device: String,
        /// The limit, as wgpu names it.
        limit: &'static str,
        /// Its value here.
        found: u64,
        /// The value needed.
        needed: u64,
    },
    /// The device lacks something a kernel variant needs.
    #[error("{device} cannot run {kernel}: {unmet}")]
    Unsupported {
        /// The device.
        device: String,
        /// Label of the kernel variant, or of several.
        kernel: String,
        /// What is missing.
        unmet: String,
    },
    /// The driver refused to open the device.
    #[error("{device} could not be opened: {reason}")]
    Open {
        /// The device.
        device: String,
        /// What the driver said.
        reason: String,
    },
    /// An allocation failed.
    #[error("{device}: {what} of {bytes} bytes could not be allocated: {reason}")]
    OutOfMemory {
        /// The device.
        device: String,
        /// What was to be allocated.
        what: String,
        /// Its size.
        bytes: u64,
        /// What the driver said.
        reason: String,
    },
    /// One indivisible piece of data is larger than what a kernel can see at once.
    #[error("{what}: one {unit} takes {bytes} bytes, {device} binds at most {limit} at once")]
    TooLarge {
        /// The data.
        what: String,
        /// What cannot be divided (row, block).
        unit: String,
        /// Its size.
        bytes: u64,
        /// The device.
        device: String,
        /// Its largest binding.
        limit: u64,
    },
    /// A pipeline could not be made.
    #[error("{device}: kernel {kernel} could not be compiled: {reason}")]
    Pipeline {
        /// The device.
        device: String,
        /// Label of the kernel variant.
        kernel: String,
        /// What the driver said.
        reason: String,
    },
    /// A kernel was called with what it cannot work on; a bug in the caller.
    #[error("kernel {kernel}: {reason}")]
    Call {
        /// The kernel.
        kernel: String,
        /// What does not fit.
        reason: String,
    },
    /// The device failed while working.
    #[error("{device} failed: {reason}")]
    Failed {
        /// The device.
        device: String,
        /// What wgpu or the driver said.
        reason: String,
    },
    /// The device is gone; every later call fails too.
    #[error("{device} was lost: {reason}; start the program again to use it again")]
    Lost {
        /// The device.
        device: String,
        /// What the driver said.
        reason: String,
    },
}
