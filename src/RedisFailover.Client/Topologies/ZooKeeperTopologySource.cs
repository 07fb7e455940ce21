using System.Collections.Immutable;
using System.Security.Cryptography.X509Certificates;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Client;

/// <summary>The topology znode, over reconnects and sessions. While ZooKeeper is away what was known stays in force.</summary>
internal sealed class ZooKeeperTopologySource : ITopologySource
{
    private static readonly ZnodePaths s_paths = new("");
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(2);

    private readonly ZooKeeperClient _zooKeeper;
    private readonly ZooKeeperConnectionString _connection;
    private readonly WatchedValue _nodes;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private string? _unreadable;
    private readonly string? _authFile;
    private SecretFile? _auth;
    private readonly CancellationTokenSource _closing = new();
    private readonly HashSet<Task> _asking = [];
    private TimeSpan _granted;
    private long _takenZxid;
    private TaskCompletionSource _taken = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ZooKeeperTopologySource(ZooKeeperConnectionString connection, FailoverOptions options)
    {
        _connection = connection;
        _authFile = options.ZooKeeperAuthFile;
        _granted = options.SessionTimeout;
        _time = options.TimeProvider;
        _logger = options.LoggerFactory.CreateLogger(Log.Category);
        _zooKeeper = new ZooKeeperClient(new ZooKeeperOptions
        {
            Connection = connection,
            SessionTimeout = options.SessionTimeout,
            TimeProvider = options.TimeProvider,
            LoggerFactory = options.LoggerFactory,
            AuthSource = options.ZooKeeperAuthFile is { } file ? () => Credentials(_auth ??= new SecretFile(file)) : null,
            TlsSource = options.ZooKeeperTls is { } tls ? () => Tls(tls.Files) : null,
        });
        _nodes = _zooKeeper.Watch(s_paths.Nodes);
    }

    private static ImmutableArray<ZooKeeperAuth> Credentials(SecretFile file)
        => [.. file.Lines.Select(line => (Line: line, Colon: line.IndexOf(':', StringComparison.Ordinal))).Where(l => l.Colon > 0)
            .Select(l => ZooKeeperAuth.Digest(l.Line[..l.Colon], l.Line[(l.Colon + 1)..]))];

    private static ZooKeeperTls Tls(TlsFiles files)
    {
        (X509Certificate2Collection authorities, X509Certificate2? certificate) = files.Current();
        return new ZooKeeperTls { Authorities = [.. authorities], ClientCertificate = certificate, ServerName = files.Name,
            AcceptsAnyName = files.AcceptsAnyName };
    }

    public string Problem => this switch
    {
        { _zooKeeper.IsConnected: false }
            => $"ZooKeeper ({_connection}) does not answer{(_zooKeeper.Unreachable is { } why ? $": {why}" : "")}",
        { _unreadable: { } problem } => problem,
        { _nodes: { IsRead: true, Current: null } }
            => $"{_connection.Chroot}{s_paths.Nodes} does not exist in ZooKeeper ({_connection}): no monitor has written it yet, or the "
                + $"path is another",
        _ => $"ZooKeeper ({_connection}) has not told it yet",
    };

    public async IAsyncEnumerable<Topology> TopologiesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (Znode? znode in _nodes.ChangesAsync(cancellationToken).ConfigureAwait(false))
        {
            if (znode is null)
            {
                Log.TopologyMissing(_logger, _connection.Chroot + s_paths.Nodes);
            }
            else if (Read(znode) is { } topology)
            {
                yield return topology;
            }

            // Whoever follows has taken it over: he asks for the next one.
            if (znode is not null)
            {
                Volatile.Write(ref _takenZxid, znode.Stat.ModifiedZxid);
                Interlocked.Exchange(ref _taken, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously))
                    .TrySetResult();
            }
        }
    }

    public TimeSpan? SinceLastContact => _zooKeeper.SinceLastContact;

    // Kept from the last session: what it was granted is what the monitors' sessions outlive.
    public TimeSpan SessionTimeout => _zooKeeper.Session is { } session ? _granted = session.SessionTimeout : _granted;

    public async Task AskFailoverAsync(NodeAddress? target, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, typeof(FailoverConnection));
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, _closing.Token);
        Task asking = AskAsync(target, either.Token);
        lock (_asking)
        {
            _asking.RemoveWhere(task => task.IsCompleted);
            _asking.Add(asking);
        }

        try
        {
            await asking.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_closing.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new ObjectDisposedException(nameof(FailoverConnection));
        }
    }

    private async Task AskAsync(NodeAddress? target, CancellationToken cancellationToken)
    {
        ZooKeeperSession session = await _zooKeeper.GetSessionAsync(cancellationToken).ConfigureAwait(false);
        var request = new OperatorRequest("")
        {
            Target = target,
            // In a container host, pid and a count are the same after each start, and requests that were answered are kept.
            By = $"client library on {Environment.MachineName}, pid {Environment.ProcessId}, request {Guid.NewGuid():N}",
            At = _time.GetUtcNow(),
        };
        await session.EnsurePathAsync(s_paths.Requests, cancellationToken).ConfigureAwait(false);
        ImmutableArray<ZnodeAcl> rights = _authFile is null
            ? default : await RequestRights.ForRequestAsync(session, s_paths.Requests, cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();

        // Once it is sent its name has to be known, to take it back: a caller that gives up leaves that a moment.
        using var grace = new CancellationTokenSource(Timeout.InfiniteTimeSpan, _time);
        using CancellationTokenRegistration givenUp = cancellationToken.Register(() => grace.CancelAfter(s_grace));
        string path = await MakeAsync(session, request, rights, grace.Token).ConfigureAwait(false);
        RequestAnswer answer;
        try
        {
            answer = await AnswerAsync(path, cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await WithdrawAsync(path, grace.Token).ConfigureAwait(false);
            throw;
        }

        if (answer.Outcome != RequestOutcome.Done)
        {
            throw new InvalidOperationException(
                $"The monitors {(answer.Outcome == RequestOutcome.Undone ? "have undone it" : "refused it")}: {answer.Reason}");
        }

        // The topology that came with the answer may still be on its way to the watch, or from there to whoever follows.
        Znode latest = await FirstAsync(s_paths.Nodes, znode => znode, cancellationToken).ConfigureAwait(false);
        while (true)
        {
            Task next = Volatile.Read(ref _taken).Task;
            if (Volatile.Read(ref _takenZxid) >= latest.Stat.ModifiedZxid)
            {
                return;
            }

            await next.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        Task[] asking;
        lock (_asking)
        {
            asking = [.. _asking];
        }

        // They take their requests back, for which they need ZooKeeper; whether they failed is their callers' affair.
        await Task.WhenAll(asking).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _nodes.DisposeAsync().ConfigureAwait(false);
        await _zooKeeper.DisposeAsync().ConfigureAwait(false);
        _closing.Dispose();
    }

    private async Task<string> MakeAsync(
        ZooKeeperSession session, OperatorRequest request, ImmutableArray<ZnodeAcl> rights, CancellationToken cancellationToken)
    {
        try
        {
            return await session.CreateAsync(
                s_paths.RequestPrefix, request.Write(), CreateMode.PersistentSequential, rights, cancellationToken).ConfigureAwait(false);
        }
        catch (ZooKeeperException failure) when (failure.MayHaveBeenApplied)
        {
            if (await FindAsync(request.By, cancellationToken).ConfigureAwait(false) is { } made)
            {
                return made;
            }

            throw;
        }
        catch (OperationCanceledException)
        {
            Log.RequestStays(_logger, _connection.Chroot + s_paths.RequestPrefix, "ZooKeeper did not say whether it was made");
            throw;
        }
    }

    // The reply had its name and was lost.
    private async Task<string?> FindAsync(string by, CancellationToken cancellationToken)
    {
        ZooKeeperSession session = await _zooKeeper.GetSessionAsync(cancellationToken).ConfigureAwait(false);
        ZnodeChildren requests =
            await session.GetChildrenAsync(s_paths.Requests, cancellationToken: cancellationToken).ConfigureAwait(false);
        foreach (string id in requests.Names.Sort(StringComparer.Ordinal).Reverse())
        {
            try
            {
                string path = s_paths.Request(id);
                Znode znode = await session.GetDataAsync(path, cancellationToken: cancellationToken).ConfigureAwait(false);
                if (OperatorRequest.Parse(id, znode.Data, znode.Stat.Version).By == by)
                {
                    return path;
                }
            }
            catch (Exception e) when (e is FormatException
                or ZooKeeperException { Code: ZooKeeperErrorCode.NoAuth or ZooKeeperErrorCode.NoNode })
            {
                // Another's, or gone.
            }
        }

        return null;
    }

    private Task<RequestAnswer> AnswerAsync(string path, CancellationToken cancellationToken) => FirstAsync(
        path,
        znode => znode is not null ? OperatorRequest.Parse(path, znode.Data, znode.Stat.Version).Answer
            : throw new InvalidOperationException($"The request {_connection.Chroot}{path} was removed without an answer."),
        cancellationToken);

    /// <summary>The first of a znode's values, from now on, that tells what is asked for; in whichever session.</summary>
    private async Task<T> FirstAsync<T>(string path, Func<Znode?, T?> told, CancellationToken cancellationToken)
        where T : class
    {
        WatchedValue watched = _zooKeeper.Watch(path);
        await using (watched.ConfigureAwait(false))
        {
            await foreach (Znode? znode in watched.ChangesAsync(cancellationToken).ConfigureAwait(false))
            {
                if (told(znode) is { } found)
                {
                    return found;
                }
            }
        }

        throw new ObjectDisposedException(nameof(FailoverConnection));
    }

    // Left behind, it would be carried out by the first monitor that sees it, perhaps much later. One that was answered meanwhile stays.
    private async Task WithdrawAsync(string path, CancellationToken cancellationToken)
    {
        try
        {
            ZooKeeperSession session = await _zooKeeper.GetSessionAsync(cancellationToken).ConfigureAwait(false);
            await session.DeleteAsync(path, 0, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is ZooKeeperException or OperationCanceledException)
        {
            Log.RequestStays(_logger, _connection.Chroot + path, failure.Message);
        }
    }

    private Topology? Read(Znode znode)
    {
        try
        {
            Topology topology = TopologyJson.Parse(znode.Data);
            _unreadable = null;
            return topology;
        }
#pragma warning disable CA1031 // Whatever stands there: the next topology must still be followed.
        catch (Exception failure)
#pragma warning restore CA1031
        {
            _unreadable = failure.Message;
            Log.TopologyUnreadable(_logger, failure.Message);
            return null;
        }
    }
}
