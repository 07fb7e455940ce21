using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Reads what a node says of itself: INFO, and what INFO leaves out (settings, rights, other controllers), which is asked for on each new
/// connection and now and then.
/// </summary>
internal sealed class NodeInfoReader(
    FailoverPolicy policy, NodeNames names, ClientNames clients, ClientList list, bool usesTls = false)
{
    /// <summary>A list of more clients than this costs the node more than the knowledge is worth.</summary>
    private const int MostClients = 1000;

    private static readonly string[] Settings =
        ["slave-serve-stale-data", "stop-writes-on-bgsave-error", "save", "databases", "dir", "dbfilename"];

    private readonly Lock _gate = new();
    private bool _isOld;
    private bool _linkIsDown;
    private bool _lacksReplicas;
    private bool _mayReadAclLog = true;

    /// <summary>What INFO leaves out, as last heard: only these fields of it are used. And which run said so.</summary>
    private NodeInfo _known = new() { Role = NodeRole.Master, RunId = "" };

    /// <summary>"REPLICAOF", or "SLAVEOF" where only that may be used.</summary>
    internal string ReplicaOf { get; private set; } = "REPLICAOF";

    /// <summary>INFO's reply with what else is known of the node, all other nodes by the names that they are configured with.</summary>
    /// <exception cref="FormatException">It is not what a Redis says.</exception>
    internal async ValueTask<NodeInfo> ReadAsync(RespValue reply, CancellationToken cancellationToken)
    {
        if (reply.Text is { } text && text.Contains("redis_mode:sentinel", StringComparison.Ordinal))
        {
            throw new FormatException("it is a Sentinel, and no Redis that holds data");
        }

        NodeInfo said = NodeInfo.Parse(reply.Text ?? "");
        list.Of(said.RunId);
        // Another process may be anybody's, and has taken its role from its file: that of the one before is not written into it.
        Learn(known => known with
        {
            RunId = said.RunId, RoleNotKept = known.RunId == said.RunId ? known.RoleNotKept : null,
        });
        _isOld = !said.PausesWritesAlone;
        _linkIsDown = said is { Role: NodeRole.Replica, LinkUp: false, IsDetached: false };
        _lacksReplicas = said is { Role: NodeRole.Master } && said.Attached.Length < names.Nodes.Length - 1;
        NodeInfo info = With(said);
        if (!info.Replicas.IsEmpty)
        {
            List<ReplicaLink> replicas = [];
            foreach (ReplicaLink link in info.Replicas)
            {
                replicas.Add(link with { Replica = await names.IdentifyAsync(link.Replica, cancellationToken) });
            }

            info = info with
            {
                Replicas = [.. replicas],
                Attached = [.. replicas.Where(r => r.IsOnline).Select(r => r.Replica)],
            };
        }

        return info.MasterAddress is { } master ? info with { MasterAddress = await names.IdentifyAsync(master, cancellationToken) } : info;
    }

    /// <summary>
    /// Asks for what INFO leaves out: settings, rights and, where told to, who else is connected. Where CONFIG is not allowed, the harmless
    /// is assumed: it answers reads without a link to its master, and does not refuse writes when it cannot save.
    /// </summary>
    internal async Task LearnAsync(RedisConnection connection, bool listsClients)
    {
        try
        {
            Task settings = LearnSettingsAsync(connection);
            Task others = listsClients ? LearnControllersAsync(connection) : Task.CompletedTask;
            NodeRights missing = Known().MissingRights;
            (missing, bool usesSlaveOf) = await RightsCheck.AskAsync(connection, missing, ReplicaOf == "SLAVEOF");
            ReplicaOf = usesSlaveOf ? "SLAVEOF" : "REPLICAOF";
            Learn(known => known with { MissingRights = missing });
            await settings;
            await others;
        }
        catch (IOException)
        {
            // The connection ended, which its heartbeat tells.
        }
    }

    /// <summary>Asks for the settings alone.</summary>
    internal async Task LearnSettingsAsync(RedisConnection connection)
    {
        try
        {
            Task minReplicas = AskMinReplicasAsync(connection);
            RespValue[] said = await Task.WhenAll(Settings.Select(name => connection.SendAsync("CONFIG", "GET", name)));
            if (!Array.Exists(said, TellsNothing))
            {
                LearnSettings(said);
            }

            await minReplicas;
        }
        catch (IOException)
        {
            // The connection ended, which its heartbeat tells.
        }
    }

    private void LearnSettings(RespValue[] said)
    {
        string?[] values = [.. said.Select(Setting)];
        (string? servesStale, string? stops, string? savePoints, string? databases) = (values[0], values[1], values[2], values[3]);
        int? count = int.TryParse(databases, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
        string? file = values[4] is { } directory && values[5] is { } name ? $"{directory}/{name}" : null;
        Learn(known => known with
        {
            ServesStaleData = servesStale is not "no",
            SnapshotFile = file,
            SavePoints = savePoints,
            Databases = count,
            // Redis refuses writes only where it is meant to save by itself.
            StopsWritesOnSaveError = stops is "yes" && savePoints is { Length: > 0 },
        });
    }

    /// <summary>
    /// Asks, before INFO, for what may change from one INFO to the next: min-replicas-to-write where that is managed (before 6.2 every
    /// switchover touches it), and why a replica has no link, which its master knows better than itself.
    /// </summary>
    /// <exception cref="IOException">The connection ended.</exception>
    internal async Task LearnBesideInfoAsync(RedisConnection connection)
    {
        Task link = _linkIsDown ? LearnLinkAsync(connection)
            : _lacksReplicas && _mayReadAclLog ? LearnRefusalsAsync(connection)
            : Task.CompletedTask;
        if (_isOld || policy.WriteSafety == WriteSafetyMode.Replicated)
        {
            await AskMinReplicasAsync(connection);
        }

        await link;
    }

    /// <summary>What min-replicas-to-write and min-replicas-max-lag have just been set to.</summary>
    internal void Learned(MinReplicas set) => Learn(known => known with { MinReplicas = set, MinReplicasBefore = null });

    /// <summary>What min-replicas-to-write alone has just been set to; both settings as they are known now.</summary>
    internal MinReplicas LearnedCount(int count)
    {
        MinReplicas set = new(count, Known().MinReplicas?.MaxLag ?? MinReplicas.Default.MaxLag);
        Learned(set);
        return set;
    }

    /// <summary>Whether it writes its role into its file; the reply to CONFIG REWRITE.</summary>
    internal void LearnedRewrite(RespValue reply) => Learn(known => known with { RoleNotKept = reply.IsError ? reply.Text : null });

    /// <summary>CONFIG REWRITE once more where the last one failed: an operator may have made room for the file.</summary>
    internal async Task RewriteAgainAsync(RedisConnection connection)
    {
        if (Known().RoleNotKept is null)
        {
            return;
        }

        try
        {
            LearnedRewrite(await connection.SendAsync("CONFIG", "REWRITE"));
        }
        catch (IOException)
        {
            // The next connection finds out.
        }
    }

    /// <summary>Whether it asked for a password before it was given one.</summary>
    internal void LearnedPassword(bool asks) => Learn(known => known with { AsksForPassword = asks });

    private async Task LearnControllersAsync(RedisConnection connection)
    {
        if (await list.ReadAsync(connection, MostClients) is { } connected)
        {
            ImmutableArray<Controller> found = clients.Foreign(connected);
            Learn(known => known with { Controllers = found });
        }
    }

    private async Task LearnLinkAsync(RedisConnection connection)
    {
        RespValue[] said = await Task.WhenAll(
            connection.SendAsync("CONFIG", "GET", "masterauth"), connection.SendAsync("CONFIG", "GET", "masteruser"),
            connection.SendAsync("CONFIG", "GET", "tls-replication"));
        if (Array.Exists(said, TellsNothing))
        {
            return;
        }

        // Of the password nothing but that there is one is looked at.
        (string? password, string? user, string? tls) = (Setting(said[0]), Setting(said[1]), Setting(said[2]));
        bool? speaksTls = tls is null ? null : tls == "yes";
        Learn(known => known with
        {
            HasMasterPassword = password is null ? null : password.Length > 0,
            MasterUser = user is { Length: 0 } ? "default" : user,
            TlsReplication = speaksTls,
        });
    }

    private async Task LearnRefusalsAsync(RedisConnection connection)
    {
        RespValue log = await connection.SendAsync("ACL", "LOG", "20");
        if (TellsNothing(log))
        {
            return;
        }

        // Each time that this is refused would be a line in that log itself.
        _mayReadAclLog = !log.IsError;
        ImmutableArray<AccessRefusal> refusals = AclLog.Recent(log);
        Learn(known => known with { Refusals = refusals });
    }

    private async Task AskMinReplicasAsync(RedisConnection connection)
    {
        RespValue said = await connection.SendAsync("CONFIG", "GET", "min-slaves-*");
        if (TellsNothing(said))
        {
            return;
        }

        MinReplicas? set = MinReplicasIn(said);
        Learn(known => known with
        {
            MinReplicas = set,
            MinReplicasBefore = set is { Count: < MinReplicas.Refusing } ? null
                : known.MinReplicasBefore ?? (known.MinReplicas is { Count: < MinReplicas.Refusing } own ? own.Count : null),
        });
    }

    private NodeInfo With(NodeInfo said)
    {
        NodeInfo known = Known();
        return said with
        {
            ServesStaleData = known.ServesStaleData,
            MinReplicas = known.MinReplicas,
            MinReplicasBefore = known.MinReplicasBefore,
            SavePoints = known.SavePoints,
            Databases = known.Databases,
            SnapshotFile = known.SnapshotFile,
            StopsWritesOnSaveError = known.StopsWritesOnSaveError,
            AsksForPassword = known.AsksForPassword,
            HasMasterPassword = _linkIsDown ? known.HasMasterPassword : null,
            MasterUser = _linkIsDown ? known.MasterUser : null,
            TlsReplication = _linkIsDown ? known.TlsReplication : null,
            WatchedByTls = usesTls,
            Refusals = _lacksReplicas ? known.Refusals : [],
            RoleNotKept = known.RoleNotKept,
            MissingRights = known.MissingRights,
            Controllers = known.Controllers,
            ReplyLimit = list.Limit,
            WithholdsClients = list.IsWithheld,
        };
    }

    private NodeInfo Known()
    {
        lock (_gate)
        {
            return _known;
        }
    }

    private void Learn(Func<NodeInfo, NodeInfo> change)
    {
        lock (_gate)
        {
            _known = change(_known);
        }
    }

    /// <summary>What cannot be told now (BUSY, LOADING) stays as it was known.</summary>
    private static bool TellsNothing(RespValue reply) => RightsCheck.Denies(reply) is null;

    private static string? Setting(RespValue reply)
        => reply is { Kind: RespKind.Array, Items: [_, { Text: var value }] } ? value : null;

    private static MinReplicas? MinReplicasIn(RespValue reply)
    {
        int? count = null;
        int? lag = null;
        for (int i = 0; reply.Kind == RespKind.Array && i + 1 < reply.Items.Length; i += 2)
        {
            int? value = int.TryParse(reply.Items[i + 1].Text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                ? number : null;
            count = reply.Items[i].Text == "min-slaves-to-write" ? value : count;
            lag = reply.Items[i].Text == "min-slaves-max-lag" ? value : lag;
        }

        return count is null || lag is null ? null : new MinReplicas(count.Value, lag.Value);
    }
}
