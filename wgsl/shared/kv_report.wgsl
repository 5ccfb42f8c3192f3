// Reports that a head cannot be stored: kind 0 non-finite, 1 overflow. The first head has the largest word.

fn report(job: Job, kind: u32) {
    let key = (job.token << 12u) | ((params.first_side + job.side) << 11u) | (job.head << 1u) | kind;
    atomicMax(&faults[params.fault], ~key);
}
