namespace RedisFailover.Client;

/// <summary>An IServer by address: it outlives the connections to its node. While there is none its calls end with
/// RedisConnectionException. Its members are emitted by the source generator.</summary>
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

    RedisResult IServer.Execute(string command, params object[] args) => Taking(command, args).Execute(command, args);

    RedisResult IServer.Execute(string command, ICollection<object> args, CommandFlags flags)
        => Taking(command, args).Execute(command, args, flags);

    RedisResult IServer.Execute(int? database, string command, ICollection<object> args, CommandFlags flags)
        => Taking(command, args).Execute(database, command, args, flags);

    Task<RedisResult> IServer.ExecuteAsync(string command, params object[] args)
        => ExecuteAsync(command, args, target => target.ExecuteAsync(command, args));

    Task<RedisResult> IServer.ExecuteAsync(string command, ICollection<object> args, CommandFlags flags)
        => ExecuteAsync(command, args, target => target.ExecuteAsync(command, args, flags));

    Task<RedisResult> IServer.ExecuteAsync(int? database, string command, ICollection<object> args, CommandFlags flags)
        => ExecuteAsync(command, args, target => target.ExecuteAsync(database, command, args, flags));

    Task IServer.MakePrimaryAsync(ReplicationChangeOptions options, TextWriter? log)
        => throw SharedConnection.Decides(nameof(IServer.MakePrimaryAsync));

    Task IServer.ReplicaOfAsync(EndPoint master, CommandFlags flags) => throw SharedConnection.Decides(nameof(IServer.ReplicaOfAsync));

    [Obsolete("Not by an application.")]
    void IServer.MakeMaster(ReplicationChangeOptions options, TextWriter? log) => throw SharedConnection.Decides("MakeMaster");

    [Obsolete("Not by an application.")]
    void IServer.ReplicaOf(EndPoint master, CommandFlags flags) => throw SharedConnection.Decides("ReplicaOf");

    [Obsolete("Not by an application.")]
    void IServer.SlaveOf(EndPoint master, CommandFlags flags) => throw SharedConnection.Decides("SlaveOf");

    [Obsolete("Not by an application.")]
    Task IServer.SlaveOfAsync(EndPoint master, CommandFlags flags) => throw SharedConnection.Decides("SlaveOfAsync");

    bool IRedisAsync.TryWait(Task task) => ((IAsyncResult)task).AsyncWaitHandle.WaitOne(nodes.Options.OperationTimeout);

    void IRedisAsync.Wait(Task task) => Waiting.For(task, nodes.Options.OperationTimeout);

    T IRedisAsync.Wait<T>(Task<T> task) => Waiting.For(task, nodes.Options.OperationTimeout);

    void IRedisAsync.WaitAll(params Task[] tasks) => Waiting.For(Task.WhenAll(tasks), nodes.Options.OperationTimeout);

    /// <summary>What it was last, also while it is not connected.</summary>
    private IServer? Known => Live() ?? Volatile.Read(ref _last);

    /// <summary>Its connections are shared by all callers, as those of the databases are.</summary>
    private IServer Taking(string command, IEnumerable<object>? arguments)
    {
        SharedConnection.Refuse(command, arguments);
        return Target();
    }

    private Task<RedisResult> ExecuteAsync(string command, IEnumerable<object>? arguments, Func<IServer, Task<RedisResult>> execute)
    {
        SharedConnection.Refuse(command, arguments);
        return Down(out IServer target) is { } failure ? Task.FromException<RedisResult>(failure) : execute(target);
    }

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
