// The body of attention_combine_f16: store_quad(place, values, stored) takes the results; all invocations call it.
//
// Words: CODES where neighbouring invocations are to be neighbouring lanes of a subgroup.

#import combine_rows
#import exp2_exact
#import float_bits
#import fold
#import grid
#import opaque

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
#ifdef CODES
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_size) subgroup_size: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let t = subgroup * subgroup_size + lane;
#else
    @builtin(local_invocation_index) t: u32,
) {
#endif
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
    }
    store_quad(row * quads + t, select(sum / (l * 0x1p-23f), vec4<f32>(0.0), l == 0.0), t < quads);
}
