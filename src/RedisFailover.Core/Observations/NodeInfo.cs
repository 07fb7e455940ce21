using System.Collections.Immutable;

namespace RedisFailover;

/// <summary>What a node says of itself in ROLE and INFO.</summary>
internal enum NodeRole
{
    /// <summary>It takes writes.</summary>
    Master,

    /// <summary>It follows a master.</summary>
    Replica,
}

/// <summary>What Redis' INFO says about a node, as far as a failover is concerned.</summary>
internal sealed record NodeInfo
{
    /// <summary>Its role at the time of the answer.</summary>
    public required NodeRole Role { get; init; }

    /// <summary>run_id: another one means that the process was restarted.</summary>
    public required string RunId { get; init; }

    /// <summary>master_replid: the replication history that its data belong to.</summary>
    public string ReplicationId { get; init; } = "";

    /// <summary>master_replid2: the history before its last promotion; null when there is none.</summary>
    public string? PreviousReplicationId { get; init; }

    /// <summary>second_repl_offset: the offset up to which the previous history is its own, plus 1; -1 when there is none.</summary>
    public long PreviousHistoryEnd { get; init; } = -1;

    /// <summary>The replication offset, in bytes: what a master has produced, what a replica has applied.</summary>
    public long Offset { get; init; }

    /// <summary>Of a replica: how far it has read its master's stream, applied or not (since Redis 7; 0 before).</summary>
    public long ReadOffset { get; init; }

    /// <summary>Of a replica: the master that it follows, in the spelling of the configuration where the monitor could tell.</summary>
    public NodeAddress? MasterAddress { get; init; }

    /// <summary>
    /// The master of a replica that was detached: TCP's port 1 on the replica's own machine, where nothing listens. By its
    /// address, so that no name has to be resolved.
    /// </summary>
    public static NodeAddress Nowhere { get; } = new("127.0.0.1", 1);

    /// <summary>Whether it is a replica that follows nobody: nothing that it has can change.</summary>
    public bool IsDetached => Role == NodeRole.Replica && MasterAddress == Nowhere;

    /// <summary>Of a replica: whether its link to that master is up (master_link_status).</summary>
    public bool LinkUp { get; init; }

    /// <summary>
    /// Of a replica: whether a full copy broke off when it had given up its place in the stream already. Its offset is from before, and its
    /// data may be gone.
    /// </summary>
    public bool CopyBrokeOff { get; init; }

    /// <summary>Of a replica: whether it is receiving a full copy at present (master_sync_in_progress).</summary>
    public bool SyncInProgress { get; init; }

    /// <summary>replica-priority: lower is preferred, 0 is never promoted. Redis' default is 100.</summary>
    public int Priority { get; init; } = 100;

    /// <summary>Whether it is still loading its data set from disk.</summary>
    public bool Loading { get; init; }

    /// <summary>The keys in all its databases.</summary>
    public long Keys { get; init; }

    /// <summary>Whether its last RDB save failed (rdb_last_bgsave_status).</summary>
    public bool SaveFailed { get; init; }

    /// <summary>Whether it cannot write its append-only file (aof_last_write_status, while aof_enabled).</summary>
    public bool AppendFailed { get; init; }

    /// <summary>Whether it refuses writes after a failed save: save points are set, and stop-writes-on-bgsave-error.</summary>
    public bool StopsWritesOnSaveError { get; init; }

    /// <summary>Whether it refuses writes, as a master, with MISCONF.</summary>
    public bool RefusesWrites => AppendFailed || (SaveFailed && StopsWritesOnSaveError);

    /// <summary>With more clients than this their list is too long to ask for.</summary>
    public const int MostClientsSearched = 10_000;

    /// <summary>What a client takes in their list at most, in bytes, unless it has a long name.</summary>
    private const long BytesPerClient = 400;

    /// <summary>
    /// The longest reply that it lets a client have (client-output-buffer-limit normal), in bytes: with a longer one it ends the
    /// connection. 0: there is no limit, or it is not known.
    /// </summary>
    public long ReplyLimit { get; init; }

    /// <summary>Whether it did not tell its clients when asked: it ended the connection, or did not answer that in time.</summary>
    public bool WithholdsClients { get; init; }

    /// <summary>Whether a list of so many clients is longer than it lets a reply be.</summary>
    public static bool IsListTooLong(int clients, long replyLimit) => replyLimit > 0 && clients * BytesPerClient > replyLimit;

    /// <summary>The clients that are connected to it (connected_clients), replicas aside.</summary>
    public int ConnectedClients { get; init; }

    /// <summary>How many connections it takes at most, its replicas' included; 0 where it does not say (before Redis 6.2).</summary>
    public int MaxClients { get; init; }

    /// <summary>Whether it takes no further connection.</summary>
    public bool IsFull => MaxClients > 0 && ConnectedClients + Replicas.Length >= MaxClients;

    /// <summary>With fewer bytes left than this the next writes are refused.</summary>
    public const int LeastMemory = 1 << 16;

    /// <summary>
    /// The bytes that it may still take, where it evicts nothing (maxmemory with noeviction); null where nothing bounds it.
    /// </summary>
    public long? MemoryLeft { get; init; }

    /// <summary>
    /// Whether it holds a tenth more than its maxmemory, which a replica does not heed: as a master it would evict keys, or refuse writes.
    /// </summary>
    public bool IsOverMaxMemory { get; init; }

    /// <summary>How many commands it has refused with OOM since it was started (errorstat_OOM, since 6.2).</summary>
    public long OutOfMemoryErrors { get; init; }

    /// <summary>Whether its memory is full: as a master it refuses writes with OOM.</summary>
    public bool IsOutOfMemory => MemoryLeft < LeastMemory;

    /// <summary>
    /// Of a master: the replicas whose copy is complete and that follow, as it knows them; in the spelling of the configuration
    /// where the monitor could tell.
    /// </summary>
    public ImmutableArray<NodeAddress> Attached { get; init; } = [];

    /// <summary>min-replicas-to-write and min-replicas-max-lag; null when they are not known.</summary>
    public MinReplicas? MinReplicas { get; init; }

    /// <summary>
    /// What min-replicas-to-write was before a switchover made it refuse writes (Redis before 6.2); null where it does not, or
    /// nobody saw it.
    /// </summary>
    public int? MinReplicasBefore { get; init; }

    /// <summary>Whether, as a replica without a link to its master, it still answers reads (replica-serve-stale-data).</summary>
    public bool ServesStaleData { get; init; } = true;

    /// <summary>redis_version, such as "7.0.15".</summary>
    public string Version { get; init; } = "";

    /// <summary>
    /// Whether it can hold back writes alone (CLIENT PAUSE … WRITE, since 6.2), and not only everything. A version that is not
    /// known counts as a new one.
    /// </summary>
    public bool PausesWritesAlone => !System.Version.TryParse(Version, out System.Version? version) || version >= new System.Version(6, 2);

    /// <summary>Which server it is; "redis" where it does not say.</summary>
    public ServerSoftware Software { get; init; } = new("redis", "");

    /// <summary>For how long it has been running (uptime_in_seconds).</summary>
    public TimeSpan Uptime { get; init; }

    /// <summary>
    /// The keys that it read from its RDB when it started (rdb_last_load_keys_loaded, since Redis 7); null where it does not say.
    /// </summary>
    public long? LoadedKeys { get; init; }

    /// <summary>The configuration file that it was started from (config_file); "" for none.</summary>
    public string ConfigFile { get; init; } = "";

    /// <summary>Where its snapshot is (dir, dbfilename), which tells instances on one machine apart; null when it does not say.</summary>
    public string? SnapshotFile { get; init; }

    /// <summary>redis_mode: "standalone", "cluster" or "sentinel".</summary>
    public string Mode { get; init; } = "standalone";

    /// <summary>Of a master: every replica that is connected to it, those that are still being copied to as well.</summary>
    public ImmutableArray<ReplicaLink> Replicas { get; init; } = [];

    /// <summary>Whether it keeps an append-only file (aof_enabled).</summary>
    public bool AppendsOnly { get; init; }

    /// <summary>
    /// Whether that file has all that it holds: after a full copy, or where the file was only just asked for, it has that once a rewrite is
    /// done, and until then the one of before lies on the disk (aof_rewrite_in_progress, aof_rewrite_scheduled, aof_last_bgrewrite_status).
    /// </summary>
    public bool AppendsAll { get; init; }

    /// <summary>The bytes of its append-only file (aof_current_size); null where it keeps none, or does not say.</summary>
    public long? AppendedBytes { get; init; }

    /// <summary>Those of its base, by the last rewrite; before Redis 7 of the file that it was started from (aof_base_size).</summary>
    public long? AppendedBase { get; init; }

    /// <summary>Its save points ("save"), empty where it saves no RDB by itself; null when they are not known.</summary>
    public string? SavePoints { get; init; }

    /// <summary>Whether a restart brings data back from its disk; null when that is not known.</summary>
    public bool? Persists => AppendsOnly ? true : SavePoints is { } points ? points.Length > 0 : null;

    /// <summary>
    /// For how long at most it still waits for its replicas before it ends (Redis 7, shutdown_in_milliseconds); null: it runs on.
    /// </summary>
    public TimeSpan? ShutsDownIn { get; init; }

    /// <summary>
    /// Whether it holds its writes for a FAILOVER that somebody sent it (Redis 6.2, master_failover_state), which without TIMEOUT may never
    /// end by itself.
    /// </summary>
    public bool FailsOver { get; init; }

    /// <summary>Of a replica without a link: for how long it has had none; null when it never had one, or has one.</summary>
    public TimeSpan? LinkDownFor { get; init; }

    /// <summary>Of a replica with a link: since when nothing has come over it; null when it has none.</summary>
    public TimeSpan? LinkSilentFor { get; init; }

    /// <summary>
    /// Of a replica without a link: whether it would present a password to a master (masterauth is set); null when it is not
    /// known.
    /// </summary>
    public bool? HasMasterPassword { get; init; }

    /// <summary>Of a replica without a link: as whom it logs in at a master (masteruser); null when it is not known.</summary>
    public string? MasterUser { get; init; }

    /// <summary>Of a replica without a link: whether it speaks TLS with a master (tls-replication); null when it is not known.</summary>
    public bool? TlsReplication { get; init; }

    /// <summary>Whether the monitors' own connection to it is by TLS: so is the port that a replica has to use.</summary>
    public bool WatchedByTls { get; init; }

    /// <summary>Of a master that has fewer replicas than it should: whom it has refused lately (ACL LOG, since Redis 6).</summary>
    public ImmutableArray<AccessRefusal> Refusals { get; init; } = [];

    /// <summary>Whether it asks its clients, replicas among them, for a password; null when it is not known.</summary>
    public bool? AsksForPassword { get; init; }

    /// <summary>From which offset on it can send what it took (repl_backlog_first_byte_offset); null where it keeps nothing.</summary>
    public long? BacklogFrom { get; init; }

    /// <summary>The full copies that it has begun to send as a master since it was started (sync_full).</summary>
    public long FullCopies { get; init; }

    /// <summary>Of a master with min-replicas-to-write: the replicas in step at present; null when it does not say.</summary>
    public int? GoodReplicas { get; init; }

    /// <summary>
    /// How many commands it has refused since it was started that came over replication or from a file (unexpected_error_replies, since
    /// Redis 7): a replica that refuses what its master sends lacks what that did.
    /// </summary>
    public long StreamErrors { get; init; }

    /// <summary>How many databases it has; null when that is not known.</summary>
    public int? Databases { get; init; }

    /// <summary>
    /// Why it could not write its role into its configuration file, in its own words; null when it could or was not asked to.
    /// </summary>
    public string? RoleNotKept { get; init; }

    /// <summary>What the monitors' user may not do there, as far as that is known.</summary>
    public NodeRights MissingRights { get; init; }

    /// <summary>
    /// Whoever else manages it: other clusters' monitors, Sentinels. As of the last time that its connections were listed.
    /// </summary>
    public ImmutableArray<Controller> Controllers { get; init; } = [];

    /// <summary>The identity that a topology records when this node is its master.</summary>
    public MasterIdentity Identity => new(RunId, ReplicationId, PreviousReplicationId, Offset, Keys > 0)
    {
        PreviousHistoryEnd = PreviousReplicationId is null ? -1 : PreviousHistoryEnd,
    };

    /// <summary>Whether its data share a history with the given master: the same one, or one that either continued.</summary>
    public bool SharesHistoryWith(MasterIdentity master)
    {
        ArgumentNullException.ThrowIfNull(master);
        return IsPartOf(master.ReplicationId) || (master.PreviousReplicationId is { } previous && IsPartOf(previous))
            || master.Former?.All().Any(history => IsPartOf(history.Id)) == true;

        bool IsPartOf(string id) => id.Length > 0 && (ReplicationId == id || PreviousReplicationId == id);
    }

    /// <summary>
    /// Up to which offset its data are the given master's, in bytes; what it has beyond was taken after the two had parted. Null where
    /// they share nothing, or where the master continued the history that this node has and it is not known from which offset on.
    /// </summary>
    /// <remarks>
    /// The data up to an offset are named by two histories, the present one and the one before (master_replid, master_replid2), and the
    /// offset at which the one became the other (second_repl_offset - 1). Two nodes that are in one history at an offset have the same up
    /// to there.
    /// </remarks>
    public long? CommonOffset(MasterIdentity master)
    {
        ArgumentNullException.ThrowIfNull(master);
        return Within(master.ReplicationId)
            ?? (master is { PreviousReplicationId: { } previous, PreviousHistoryEnd: > 0 and var end } ? Until(previous, end) : null)
            ?? master.Former?.All().Select(former => Until(former.Id, former.End)).FirstOrDefault(common => common is not null);

        long? Until(string history, long end) => end > 0 && Within(history) is { } held ? Math.Min(held, end - 1) : null;

        long? Within(string history) => history.Length == 0 ? null
            : ReplicationId == history ? Offset
            : PreviousReplicationId == history ? (PreviousHistoryEnd > 0 ? Math.Min(Offset, PreviousHistoryEnd - 1) : Offset)
            : null;
    }

    /// <summary>
    /// Whether it would go on from where it stands under this master, without a full copy: it has nothing beyond what the master has, and
    /// that still keeps the rest. A server asks for that by its present history alone.
    /// </summary>
    public bool GoesOnUnder(NodeInfo master)
    {
        ArgumentNullException.ThrowIfNull(master);
        bool isInHistory = ReplicationId == master.ReplicationId
            || (ReplicationId == master.PreviousReplicationId && Offset < master.PreviousHistoryEnd);
        return isInHistory && Offset <= master.Offset && master.BacklogFrom <= Offset + 1;
    }

    /// <summary>
    /// Whether a later answer of the node differs in figures alone: how far it has come, how many keys and clients it has, for how long it
    /// runs. What a figure means (no key at all, no memory left, no link) is no figure.
    /// </summary>
    internal bool DiffersInFiguresAlone(NodeInfo later) => (this with
    {
        Offset = later.Offset,
        ReadOffset = later.ReadOffset,
        Keys = Keys == 0 == (later.Keys == 0) ? later.Keys : Keys,
        ConnectedClients = IsFull == later.IsFull ? later.ConnectedClients : ConnectedClients,
        MemoryLeft = IsOutOfMemory == later.IsOutOfMemory ? later.MemoryLeft : MemoryLeft,
        Uptime = later.Uptime,
        AppendedBytes = AppendedBytes is null == later.AppendedBytes is null ? later.AppendedBytes : AppendedBytes,
        AppendedBase = AppendedBase is null == later.AppendedBase is null ? later.AppendedBase : AppendedBase,
        LinkDownFor = LinkDownFor is null == later.LinkDownFor is null ? later.LinkDownFor : LinkDownFor,
        LinkSilentFor = LinkSilentFor is null == later.LinkSilentFor is null ? later.LinkSilentFor : LinkSilentFor,
        BacklogFrom = BacklogFrom is null == later.BacklogFrom is null ? later.BacklogFrom : BacklogFrom,
        Replicas = Replicas.Select(r => (r.Replica, r.State)).SequenceEqual(later.Replicas.Select(r => (r.Replica, r.State)))
            ? later.Replicas : Replicas,
        Attached = Attached.SequenceEqual(later.Attached) ? later.Attached : Attached,
    }) == later;

    /// <summary>Reads the text of INFO.</summary>
    /// <exception cref="FormatException">A line that every Redis since 2.8 writes is missing or makes no sense.</exception>
    public static NodeInfo Parse(string info)
    {
        ArgumentNullException.ThrowIfNull(info);
        return InfoText.Read(info).ToNode();
    }
}
