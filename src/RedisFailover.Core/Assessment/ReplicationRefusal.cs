namespace RedisFailover;

/// <summary>Why a replica gets no link to a master that answers: one rule a cause, the first that holds is told.</summary>
/// <param name="Why">The cause, in words.</param>
/// <param name="Advice">What to do about it.</param>
internal sealed record ReplicationRefusal(string Why, string Advice)
{
    private static readonly Func<NodeView, NodeView, FailoverPolicy, ReplicationRefusal?>[] s_causes =
        [WithoutPassword, LoginRefused, OtherTransport, OtherVersion];

    /// <summary>The first cause that the facts show; null where they show none, and it may as well be the network.</summary>
    internal static ReplicationRefusal? Of(NodeView master, NodeView replica, FailoverPolicy policy)
        => s_causes.Select(cause => cause(master, replica, policy)).FirstOrDefault(cause => cause is not null);

    private static ReplicationRefusal? WithoutPassword(NodeView master, NodeView replica, FailoverPolicy policy)
        => replica.Info!.HasMasterPassword == false && master.Info!.AsksForPassword == true
            ? new(
                "it asks for a password, and the replica has no masterauth",
                "Set masterauth (with ACLs: masteruser too) on the replica, also in its file.")
            : null;

    /// <summary>The master keeps a list of whom it has refused. What comes from another node's host is not meant.</summary>
    private static ReplicationRefusal? LoginRefused(NodeView master, NodeView replica, FailoverPolicy policy)
    {
        AccessRefusal? refusal = master.Info!.Refusals.FirstOrDefault(r => r.User == replica.Info!.MasterUser
            && (r.Host == replica.Address.Host || policy.Nodes.All(n => n.Host != r.Host)));
        return refusal is null ? null
            : refusal.Command is { } command
                ? new(
                    $"its user '{Words.Quoted(refusal.User)}' may not run {Words.Quoted(command)}",
                    $"On the master: ACL SETUSER {Words.Quoted(refusal.User)} +psync +replconf +ping, also in its file.")
                : new(
                    $"wrong password, or no such user or one that is switched off: '{Words.Quoted(refusal.User)}'",
                    "Set masteruser and masterauth on the replica to what the master accepts, also in its file; look at ACL LIST on the "
                        + "master.");
    }

    private static ReplicationRefusal? OtherTransport(NodeView master, NodeView replica, FailoverPolicy policy)
        => replica.Info!.TlsReplication is not { } tls || tls == master.Info!.WatchedByTls ? null
            : tls ? new(
                "the replica speaks TLS, and the master's port does not",
                "Set tls-replication no on the replica, or give the monitors the master's TLS port.")
            : new("its port asks for TLS, and the replica does not speak it", "Set tls-replication yes on the replica, also in its file.");

    private static ReplicationRefusal? OtherVersion(NodeView master, NodeView replica, FailoverPolicy policy)
        => replica.Info!.Software.CanRead(master.Info!.Software) ? null
            : new(
                $"the replica ({Named(replica)}) cannot read a full copy of {Named(master)}",
                "Upgrade the replica, or let a node of its version be master (redis-failover switchover).");

    private static string Named(NodeView node) => $"{node.Info!.Software.Name} {node.Info.Software.Version}";
}
