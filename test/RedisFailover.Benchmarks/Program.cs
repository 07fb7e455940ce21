using BenchmarkDotNet.Running;
using RedisFailover.Benchmarks.Failover;

// "failover" measures real processes and is not a micro-benchmark: scripts/bench-failover.sh starts it.
if (args is ["failover", .. string[] rest])
{
    return await FailoverBenchmark.RunAsync(rest);
}

BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
return 0;
