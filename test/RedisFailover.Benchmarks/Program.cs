using System.Globalization;
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

// "facade [seconds [rounds [part of a name]]]": the client against the bare multiplexer, side by side in one run.
if (args is ["facade", .. string[] measured])
{
    await FacadeOverhead.RunAsync(
        TimeSpan.FromSeconds(measured.Length > 0 ? double.Parse(measured[0], CultureInfo.InvariantCulture) : 0.5),
        measured.Length > 1 ? int.Parse(measured[1], CultureInfo.InvariantCulture) : 15,
        measured.Length > 2 ? measured[2] : "");
    return 0;
}

// "watchers [count[x processes] ...]": from the topology's change to the first write, with so many clients in so many processes.
if (args is ["watchers", .. string[] counts])
{
    await Watchers.RunAsync(counts is [] ? ["1", "10", "100", "4x1", "25x4"] : counts);
    return 0;
}

// "watcher ...": one of those processes.
if (args is ["watcher", string zooKeeper, string clients])
{
    await WatcherProcess.RunAsync(zooKeeper, int.Parse(clients, CultureInfo.InvariantCulture));
    return 0;
}

BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
return 0;
