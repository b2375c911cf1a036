//! The allocator: large pieces of memory go back to the system as soon as they are freed.

/// Size in bytes from which a freed allocation goes back to the system at once.
const LARGE: libc::c_int = 1024 * 1024;

/// Makes the allocator return large allocations as soon as they are freed. By default glibc raises its threshold after
/// such a free, since it expects more of them, and then keeps up to twice as much in each of its arenas.
pub fn give_back_large_pieces() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a parameter of the allocator and touches no memory.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
