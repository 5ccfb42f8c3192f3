//! Element-wise operations, compiled a second time for AVX2.
//!
//! Rust never joins a multiplication and an addition on its own, so a body gives the same bits with
//! wider vectors and with the rounding instruction that the x86-64 baseline lacks.

/// Defines a function with a plain body, and runs the body compiled for AVX2 where that exists.
macro_rules! with_avx2 {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $ty:ty),*) $body:block) => {
        $(#[$doc])*
        pub fn $name($($arg: $ty),*) {
            #[inline(always)]
            fn plain($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($arg: $ty),*) {
                    plain($($arg),*);
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2.
                    unsafe { wide($($arg),*) };
                    return;
                }
            }
            plain($($arg),*);
        }
    };
}

pub(super) use with_avx2;
