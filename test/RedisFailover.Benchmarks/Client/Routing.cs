using BenchmarkDotNet.Attributes;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Benchmarks.Client;

/// <summary>What choosing the node costs a call, without any network: "--filter *Routing*".</summary>
[MemoryDiagnoser]
[Config(typeof(ShortInProcess))]
public class Routing
{
    private readonly Snapshot _snapshot = new(
        new Topology { Epoch = 1 }, master: null, replicas: [Node(), Node()], ReadFrom.PreferReplica);

    /// <summary>A read, two replicas in turn.</summary>
    [Benchmark]
    public object? Read() => _snapshot.NodeFor(CommandClass.Read, CommandFlags.None);

    /// <summary>A write.</summary>
    [Benchmark]
    public object? Write() => _snapshot.NodeFor(CommandClass.Write, CommandFlags.None);

    /// <summary>A read whose caller demands the master.</summary>
    [Benchmark]
    public object? DemandMaster() => _snapshot.NodeFor(CommandClass.Read, CommandFlags.DemandMaster);

    // Never connected: only its identity is looked at.
    private static LiveNode Node()
    {
        var node = (LiveNode)System.Runtime.CompilerServices.RuntimeHelpers.GetUninitializedObject(typeof(LiveNode));
        node.IsPreferred = true;
        return node;
    }
}
