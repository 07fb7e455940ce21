using StackExchange.Redis;

namespace RedisFailover.Client;

/// <summary>One call of a caller that blocks: where it goes, and whether it goes again. Emitted code drives it.</summary>
internal struct BlockingCall(NodeSet nodes, CommandClass kind, CommandFlags flags, WhenAmbiguous whenAmbiguous)
{
    private LiveNode? _node;
    private Retries? _retries;

    /// <summary>The caller's flags without the role: the node is chosen already, and its multiplexer would judge them by its own idea of itself.</summary>
    public readonly CommandFlags Flags => flags & ~StackExchangeVersion.RoleMask;

    public IDatabase Target(int database)
    {
        CommandFlags wanted = _retries is null ? flags : _retries.Redirect(flags);
        _node = nodes.Current.NodeFor(kind, wanted) ?? nodes.NodeFor(kind, wanted, _retries ??= new Retries(nodes, kind, whenAmbiguous));
        return _node.Database(database);
    }

    /// <summary>Returns when the call may be sent again; throws what the caller is to see otherwise.</summary>
    public void Failed(Exception failure) => (_retries ??= new Retries(nodes, kind, whenAmbiguous)).After(failure, _node!);
}
