// Sums the words of a buffer, nothing else: how fast a device reads memory.
//
// A workgroup reads 256 * EACH vectors that follow each other, neighbouring invocations neighbouring vectors.
//
// x: `vectors` vectors of four words
// y: for every invocation the sum of the words that it read, modulo 2^32
// grid: 256 invocations per workgroup, EACH vectors for each
// class: Exact
// twin: crates/turbo-cpu/src/bench/stream.rs

#import grid

struct StreamParams {
    zero: u32,
    vectors: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
#params StreamParams

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) size: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear_workgroup(id, size);
    let first = workgroup * (256u * EACH) + local;
    if first >= params.vectors {
        return;
    }
    var sum = vec4<u32>(0u);
    if first + 256u * (EACH - 1u) < params.vectors {
        // All loads are on their way before the first sum needs one.
        var parts: array<vec4<u32>, EACH>;
#repeat I EACH
        parts[I] = x[first + 256u * I];
#end
#repeat I EACH
        sum += parts[I];
#end
    } else {
        for (var at = first; at < params.vectors; at += 256u) {
            sum += x[at];
        }
    }
    y[workgroup * 256u + local] = sum.x + sum.y + sum.z + sum.w;
}
