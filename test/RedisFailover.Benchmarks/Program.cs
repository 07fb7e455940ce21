using BenchmarkDotNet.Running;
using RedisFailover.Benchmarks.Failover;
using RedisFailover.Benchmarks.ZooKeeper;

// "failover" measures real processes and is not a micro-benchmark: scripts/bench-failover.sh starts it.
if (args is ["failover", .. string[] rest])
{
    return await FailoverBenchmark.RunAsync(rest);
}

// Nor is "zookeeper", which scripts/bench-zookeeper.sh starts.
if (args is ["zookeeper", .. string[] options])
{
    return await ZooKeeperBenchmark.RunAsync(options);
}

BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
return 0;
