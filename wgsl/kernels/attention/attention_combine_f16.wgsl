// Folds the partials of attention_decode_f16 over f16 V and normalises.
//
// sequences: as in attention_decode
// partials: of attention_decode_f16, as vectors
// sinks: one logit per query head (params.sinks = 1), else not read
// y: rows of head_dim_v f32
// grid: a workgroup of 256 invocations per row
// class: Bounded, but the same for every split and batch on one device
// twin: crates/turbo-cpu/src/attention/attention_combine_f16.rs

#import attention_job
#import combine_rows
#import exp2_exact
#import float_bits
#import fold
#import grid
#import opaque

@group(0) @binding(0) var<storage, read> sequences: array<Sequence>;
@group(0) @binding(1) var<storage, read> partials: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> sinks: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
#params AttentionParams

const THREADS = 256u;
// Below every exponent.
const LOWEST = -0x40000000;

// Largest exponent of the sums of all chunks.
var<workgroup> largest: atomic<i32>;
// Of every share of the chunks and vector of values: their sum.
var<workgroup> sums: array<vec4<f32>, THREADS>;
// The same of the denominators.
var<workgroup> denominators: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let row = linear_workgroup(id, size);
    if row >= params.rows {
        return;
    }
    let seen = slots_of(row);
    if seen.y == 0u {
        return;
    }
    let quads = params.head_dim_v / 4u;
    let stride = 1u + quads;
    let at = (row * params.slots + seen.x) * stride;
    if t == 0u {
        atomicStore(&largest, LOWEST);
    }
    workgroupBarrier();
    var top = LOWEST;
    for (var chunk = t; chunk < seen.y; chunk += THREADS) {
        let words = partials[at + chunk * stride];
        top = max(top, select(bitcast<i32>(words.z), LOWEST, words.x == 0u));
    }
    var sink = Frame(LOWEST, 0u);
    if params.sinks != 0u {
        sink = sink_of(sinks[row % (params.kv_heads * params.group)]);
        top = max(top, sink.e);
    }
    if top != LOWEST {
        atomicMax(&largest, top);
    }
    workgroupBarrier();
    let e = atomicLoad(&largest);
    let shares = THREADS / quads;
    let share = t / quads;
    let quad = t % quads;
    var sum = vec4<f32>(0.0);
    var l = 0.0;
    if share < shares {
        for (var chunk = share; chunk < seen.y; chunk += shares) {
            let words = partials[at + chunk * stride];
            let part = bitcast<vec4<f32>>(partials[at + chunk * stride + 1u + quad]);
            if words.x != 0u {
                sum = fma(part, vec4<f32>(scale_pow2(1.0, bitcast<i32>(words.z) - e)), sum);
                l += scale_pow2(f32(words.x), bitcast<i32>(words.y) - e);
            }
        }
    }
    sums[t] = sum;
    denominators[t] = l;
    workgroupBarrier();
    if t < quads {
        sum = sums[t];
        l = denominators[t] + scale_pow2(f32(sink.bound), sink.e - e);
        for (var i = 1u; i < shares; i++) {
            sum += sums[i * quads + t];
            l += denominators[i * quads + t];
        }
        y[row * quads + t] = select(sum / (l * 0x1p-23f), vec4<f32>(0.0), l == 0.0);
    }
}
