using System.Net;
using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>
/// An IServer by address: it outlives the connections to its node. While there is none its calls end with RedisConnectionException. Its
/// members are emitted by the source generator.
/// </summary>
[GenerateFacade(FacadeKind.Server)]
internal sealed partial class FailoverServer(NodeSet nodes, NodeAddress address, FailoverMultiplexer owner, object? asyncState) : IServer
{
    private IServer? _last;

    IConnectionMultiplexer IRedisAsync.Multiplexer => owner;

    EndPoint IServer.EndPoint => NodeConfiguration.EndPointOf(address);

    bool IServer.IsConnected => Live() is not null;

    bool IServer.IsReplica => nodes.Current.Topology.Master != address;

    ClusterConfiguration? IServer.ClusterConfiguration => Known?.ClusterConfiguration;

    RedisFeatures IServer.Features => Known?.Features ?? default;

    RedisProtocol IServer.Protocol => Known?.Protocol ?? RedisProtocol.Resp3;

    ServerType IServer.ServerType => Known?.ServerType ?? ServerType.Standalone;

    Version IServer.Version => Known?.Version ?? new Version(0, 0);

    int IServer.DatabaseCount => Known?.DatabaseCount ?? 0;

    bool IServer.AllowReplicaWrites
    {
        get => Known?.AllowReplicaWrites ?? false;
        set => Target().AllowReplicaWrites = value;
    }

    [Obsolete("Names of before Redis 5.")]
    bool IServer.IsSlave => ((IServer)this).IsReplica;

    [Obsolete("Names of before Redis 5.")]
    bool IServer.AllowSlaveWrites
    {
        get => ((IServer)this).AllowReplicaWrites;
        set => ((IServer)this).AllowReplicaWrites = value;
    }

    bool IRedisAsync.TryWait(Task task) => ((IAsyncResult)task).AsyncWaitHandle.WaitOne(nodes.Options.OperationTimeout);

    void IRedisAsync.Wait(Task task) => Waiting.For(task, nodes.Options.OperationTimeout);

    T IRedisAsync.Wait<T>(Task<T> task) => Waiting.For(task, nodes.Options.OperationTimeout);

    void IRedisAsync.WaitAll(params Task[] tasks) => Waiting.For(Task.WhenAll(tasks), nodes.Options.OperationTimeout);

    /// <summary>What it was last, also while it is not connected.</summary>
    private IServer? Known => Live() ?? Volatile.Read(ref _last);

    private IServer Target() => Down(out IServer target) is { } failure ? throw failure : target;

    private Exception? Down(out IServer target)
    {
        if (owner.IsClosed)
        {
            target = null!;
            return new ObjectDisposedException(nameof(IConnectionMultiplexer));
        }

        target = Live()!;
        return target is not null ? null : new RedisConnectionException(
            ConnectionFailureType.UnableToConnect, CommandFlags.None, $"{address} is not connected: {nodes.FailureOf(address)}", null,
                CommandStatus.WaitingToBeSent);
    }

    private IServer? Live()
    {
        if (nodes.Live(address) is not { } live)
        {
            return null;
        }

        // With the state of the caller's, which its tasks bear.
        IServer server = asyncState is null ? live.Server : live.Multiplexer.GetServer(live.Server.EndPoint, asyncState);
        Volatile.Write(ref _last, server);
        return server;
    }
}
