//! Products of quantised weights: which kernel, in what pieces.

use std::cell::RefCell;

use turbo_gguf::GgmlType;

use super::activations::{Activations, Int8Row, PANEL_TOKENS, TILE};
use super::panel::{Layout, Panel};
use super::plane::{Planes, Shape};
use super::{Level, Out, WeightRef, plain, rows_per_task};
use crate::pool::ThreadPool;

thread_local! {
    /// Buffers of a thread, kept from one product to the next.
    static SCRATCH: RefCell<(Planes, Panel)> = RefCell::default();
}

pub(super) fn product(
    level: Level,
    pool: &ThreadPool,
    w: &WeightRef<'_>,
    shape: Shape,
    x: &Activations,
    out: &Out<'_>,
) {
    match panel_layout(level) {
        Some(layout) if x.tokens() >= PANEL_TOKENS => by_panels(level, layout, pool, w, shape, x, out),
        _ => by_rows(level, pool, w, shape, x, out),
    }
}

fn by_rows(level: Level, pool: &ThreadPool, w: &WeightRef<'_>, shape: Shape, x: &Activations, out: &Out<'_>) {
    let (row_bytes, tokens) = (w.row_bytes(), x.tokens());
    let step = rows_per_task(pool, w, tokens, 1);
    let fused = fused(level, w.ty, x.forms().wide).filter(|_| tokens < PANEL_TOKENS);
    let inputs: Vec<Int8Row<'_>> = (0..tokens).map(|token| x.int8_row(token)).collect();
    pool.run(w.rows.div_ceil(step), |task| {
        let first = task * step;
        let rows = first..(first + step).min(w.rows);
        SCRATCH.with_borrow_mut(|(planes, _)| {
            planes.resize(shape, if fused.is_some() { 0 } else { w.cols });
            for row in rows {
                let bytes = &w.data[row * row_bytes..][..row_bytes];
                if fused.is_none() {
                    planes.expand(w.ty, w.cols, bytes);
                }
                for (token, input) in inputs.iter().enumerate() {
                    let value = match fused {
                        // SAFETY: the level is available, which `matmul_at` checks.
                        Some(fused) => unsafe { fused(bytes, input) },
                        None => one_row(level, planes, shape, input),
                    };
                    // SAFETY: the rows of a task belong to no other.
                    unsafe { out.put(token, row, &[value]) };
                }
            }
        });
    });
}

fn by_panels(
    level: Level,
    layout: Layout,
    pool: &ThreadPool,
    w: &WeightRef<'_>,
    shape: Shape,
    x: &Activations,
    out: &Out<'_>,
) {
    let row_bytes = w.row_bytes();
    pool.run(w.rows.div_ceil(layout.rows), |task| {
        let first = task * layout.rows;
        let count = layout.rows.min(w.rows - first);
        SCRATCH.with_borrow_mut(|(_, panel)| {
            let bytes = &w.data[first * row_bytes..][..count * row_bytes];
            panel.fill(w.ty, shape, w.cols, bytes, row_bytes, layout);
            tiles(level, panel, shape, x, &mut |token, values| {
                // SAFETY: the rows of a task belong to no other.
                unsafe { out.put(token, first, &values[..count]) };
            });
        });
    });
}

/// The kernel that reads blocks of the type directly.
fn fused(level: Level, ty: GgmlType, wide: bool) -> Option<unsafe fn(&[u8], &Int8Row<'_>) -> f32> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => super::avx2::maddubs::fused(ty, wide),
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => super::avx2::avxvnni::fused(ty, wide),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => super::avx2::avx512vnni::fused(ty, wide),
        _ => {
            let _ = (ty, wide);
            None
        }
    }
}

fn one_row(level: Level, planes: &Planes, shape: Shape, x: &Int8Row<'_>) -> f32 {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level is available, which `matmul_at` checks.
        Level::Avx2 => unsafe { super::avx2::maddubs::row(planes, shape, x) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::AvxVnni => unsafe { super::avx2::avxvnni::row(planes, shape, x) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512Vnni => unsafe { super::avx2::avx512vnni::row(planes, shape, x) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Level::Neon => unsafe { super::neon::row_long(planes, shape, x) },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        Level::NeonDot => unsafe { super::neon::row_sdot(planes, shape, x) },
        _ => plain::row(planes, shape, x),
    }
}

/// How the level wants its panels, if it has kernels for them.
fn panel_layout(level: Level) -> Option<Layout> {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => Some(Layout { rows: super::tile::maddubs::ROWS, flip: 0 }),
        #[cfg(target_arch = "x86_64")]
        Level::AvxVnni => Some(Layout { rows: super::tile::avxvnni::ROWS, flip: 0x80 }),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => Some(Layout { rows: super::tile::avx512vnni::ROWS, flip: 0x80 }),
        #[cfg(target_arch = "aarch64")]
        Level::Neon => Some(Layout { rows: super::tile::neon_long::ROWS, flip: 0 }),
        #[cfg(target_arch = "aarch64")]
        Level::NeonDot => Some(Layout { rows: super::tile::neon_sdot::ROWS, flip: 0 }),
        _ => None,
    }
}

/// The products of a panel with all tokens; `put` gets a token and the outputs of its rows.
fn tiles(level: Level, panel: &Panel, shape: Shape, x: &Activations, put: &mut dyn FnMut(usize, &[f32])) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        use super::tile::{self, Scratch};
        let mut scratch = Scratch::new();
        for (tile, packed) in x.packed().enumerate() {
            let first = tile * TILE;
            let count = TILE.min(x.tokens() - first);
            // SAFETY: the level is available, which `matmul_at` checks.
            unsafe {
                match level {
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => tile::maddubs::tile(panel, shape, packed, count, &mut scratch),
                    #[cfg(target_arch = "x86_64")]
                    Level::AvxVnni => tile::avxvnni::tile(panel, shape, packed, count, &mut scratch),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512Vnni => tile::avx512vnni::tile(panel, shape, packed, count, &mut scratch),
                    #[cfg(target_arch = "aarch64")]
                    Level::Neon => tile::neon_long::tile(panel, shape, packed, count, &mut scratch),
                    #[cfg(target_arch = "aarch64")]
                    Level::NeonDot => tile::neon_sdot::tile(panel, shape, packed, count, &mut scratch),
                    _ => unreachable!("{} has no panels", level.name()),
                }
            }
            for (token, values) in scratch.outputs[..count].iter().enumerate() {
                put(first + token, values);
            }
        }
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = (level, panel, shape, x, put);
}
