//! `attention/query_codes` against its twin.

use turbo_cpu::attention::query_codes::{QueryCodes, query_codes};
use turbo_gpu::attention::queries as gpu_attention;
use turbo_gpu::{Gpu, GpuError};
use turbo_quant::KvType;
use turbo_wgsl::{Kernel, Variant, attention};

use super::compare::named;
use crate::{Effort, Inputs, Parity, Tally};

/// The cases of `attention/query_codes`.
pub(crate) struct Codes;

const HEAD_DIMS: [usize; 10] = [16, 48, 64, 80, 96, 112, 128, 192, 256, 576];
const SCALE: f32 = 0.088_388_35;

impl Parity for Codes {
    fn kernel(&self) -> &'static Kernel {
        &attention::query_codes::KERNEL
    }

    fn run(&self, gpu: &Gpu, variant: &'static Variant, effort: Effort, tally: &mut Tally) -> Result<(), GpuError> {
        let k_type = named(variant, "k_").unwrap_or(KvType::Turbo4);
        for head_dim in HEAD_DIMS.into_iter().filter(|&d| d == 128 || !variant.name.contains("h128")) {
            let rows = effort.of(60, 10_000);
            let query = Inputs::new(head_dim as u64).any(rows, head_dim);
            let (d, n) = (head_dim as u32, rows as u32);
            let call = gpu_attention::QueryCodes { k_type, head_dim: d, rows: n, scale: SCALE };
            let got = call.run(gpu, variant, &query)?;
            let want = of_twin(k_type, head_dim, &query);
            let width = want.len() / rows;
            tally.compare_bits(&format!("{rows} heads of {head_dim} values"), &got, &want, width);
        }
        Ok(())
    }
}

/// Per row: code words, then factors, then whether it is at fault.
pub(super) fn of_twin(k_type: KvType, head_dim: usize, query: &[f32]) -> Vec<u32> {
    let blocks = k_type.scale_block_sizes(head_dim).len();
    let mut out = Vec::new();
    for head in query.chunks_exact(head_dim) {
        let row = query_codes(k_type, SCALE, head);
        let fault = row.is_err().into();
        // What the kernel leaves of a row at fault.
        let empty = || QueryCodes { codes: vec![0; head_dim], mults: vec![0.0; blocks] };
        let QueryCodes { codes, mults } = row.unwrap_or_else(|_| empty());
        let words = |plane: &dyn Fn(i32) -> i32| {
            let bytes: Vec<u8> = codes.iter().map(|&q| plane(q.into()) as u8).collect();
            bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<_>>()
        };
        let high = |q: i32| (q + 127).div_euclid(255);
        if k_type == KvType::Q8_0 {
            out.extend(words(&high));
            out.extend(words(&|q| q - 255 * high(q)));
        } else {
            out.extend(words(&|q| q));
        }
        out.extend(mults.iter().map(|mult| mult.to_bits()));
        out.push(fault);
    }
    out
}
