using BenchmarkDotNet.Running;
using RedisFailover.Benchmarks.Client;
using RedisFailover.Benchmarks.Failover;
using RedisFailover.Benchmarks.ZooKeeper;

// "failover" measures real processes and is not a micro-benchmark: scripts/bench-failover.sh starts it.
if (args is ["failover", .. string[] rest])
{
    return await FailoverBenchmark.RunAsync(rest);
}

// "leader": how long the monitors are without a leader, real processes too.
if (args is ["leader", .. string[] changes])
{
    return await LeaderChange.RunAsync(changes);
}

// Nor is "zookeeper", which scripts/bench-zookeeper.sh starts.
if (args is ["zookeeper", .. string[] options])
{
    return await ZooKeeperBenchmark.RunAsync(options);
}

// "facade [seconds [part of a name]]": the client against the bare multiplexer, side by side in one run.
if (args is ["facade", ..])
{
    await FacadeOverhead.RunAsync(TimeSpan.FromSeconds(args.Length > 1 ? double.Parse(args[1], System.Globalization.CultureInfo.InvariantCulture) : 2), args.Length > 2 ? args[2] : "");
    return 0;
}

// "watchers [count ...]": from the topology's change to the first write, with so many clients.
if (args is ["watchers", .. string[] counts])
{
    await Watchers.RunAsync(counts is [] ? [1, 10, 100] : [.. counts.Select(count => int.Parse(count, System.Globalization.CultureInfo.InvariantCulture))]);
    return 0;
}

BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
return 0;
