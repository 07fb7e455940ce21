using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RedisFailover.Monitor.Options;
using RedisFailover.Shared;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>
/// Who may do what with the znodes, where the monitors have credentials: monitors everything, clients read, operators make requests. It
/// follows the file of the credentials, and puts right what was made before there were any.
/// </summary>
/// <param name="security">The credentials, and whom they let near.</param>
/// <param name="home">Where the process' heartbeat stands: of its one cluster, or above those of several.</param>
/// <param name="time">The source of time.</param>
/// <param name="logger">The log.</param>
internal sealed class ZnodeRights(SecuritySettings security, ZnodePaths home, TimeProvider time, ILogger logger)
{
    /// <summary>How soon a new file of credentials is taken over.</summary>
    private static readonly TimeSpan Looking = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private ImmutableArray<ZnodePaths> _clusters = [];

    /// <summary>Clusters come and go below the root that they have in common: it has rights also while there is none.</summary>
    internal bool IsCommonRoot { get; init; }

    /// <summary>The monitors' credentials as the file holds them now.</summary>
    internal ImmutableArray<ZooKeeperAuth> Credentials
        => security.ZooKeeperAuth is { } file ? [.. Users(file).Select(u => ZooKeeperAuth.Digest(u.User, u.Password))] : [];

    private IEnumerable<ZnodeAcl> Monitors
        => security.ZooKeeperAuth is { } file ? Users(file).Select(u => ZnodeAcl.Digest(u.User, u.Password)) : [];

    /// <summary>The znodes of this cluster, too, have rights from now on.</summary>
    internal void Cover(ZnodePaths cluster)
    {
        lock (_gate)
        {
            _clusters = _clusters.Add(cluster);
        }
    }

    /// <summary>They are no longer this process' business.</summary>
    internal void Uncover(ZnodePaths cluster)
    {
        lock (_gate)
        {
            _clusters = _clusters.Remove(cluster);
        }
    }

    /// <summary>The rights of a znode; empty: it is open to all.</summary>
    internal ImmutableArray<ZnodeAcl> Of(string path)
    {
        if (security.ZooKeeperAuth is null || Owning(path) is not { } paths)
        {
            return [];
        }

        ZnodePermissions operators = path == paths.Root ? ZnodePermissions.Read | ZnodePermissions.Create
            : path == paths.Requests ? ZnodePermissions.Read | ZnodePermissions.Create | ZnodePermissions.Delete
            : path == paths.Members ? ZnodePermissions.Read | ZnodePermissions.Delete
            : ZnodePermissions.Read;
        // Whom a request may be changed by stands there, and is nobody else's business.
        return
        [
            .. Monitors,
            .. security.Operators.Select(o => o with { Permissions = operators }),
            .. path == paths.Requests ? [] : security.Readers,
        ];
    }

    /// <summary>
    /// Whose the znode is: of the clusters the one with the longest root, as one may lie below another's; null: nobody's here.
    /// </summary>
    private ZnodePaths? Owning(string path)
        => _clusters.Add(home).Where(p => path == p.Root || path.StartsWith(p.Root + "/", StringComparison.Ordinal))
            .MaxBy(p => p.Root.Length);

    /// <summary>Puts the rights of all znodes right, now and whenever the file of the credentials changes.</summary>
    internal async Task KeepAsync(ZooKeeperClient zooKeeper, CancellationToken cancellationToken)
    {
        if (security.ZooKeeperAuth is not { } file)
        {
            return;
        }

        ImmutableArray<string> applied = [];
        ImmutableHashSet<ZnodePaths> done = [];
        ImmutableArray<string> shown = file.Lines;
        (bool Refused, string? Failure) told = (false, null);
        while (true)
        {
            ImmutableArray<string> lines = file.Lines;
            if (file.IsRefused && !told.Refused)
            {
                Log.CredentialsNotUsable(logger, file.Path);
            }

            told.Refused = file.IsRefused;
            if (!lines.SequenceEqual(shown))
            {
                // The new connection shows what the file holds now.
                Log.CredentialsChanged(logger, file.Path);
                zooKeeper.Reconnect("the credentials have changed");
                shown = lines;
            }

            string? failure = null;
            (applied, done) = lines.SequenceEqual(applied) ? (applied, done.Intersect(_clusters.Add(home))) : (lines, []);
            try
            {
                foreach (ZnodePaths cluster in _clusters.Where(c => !done.Contains(c)))
                {
                    await ApplyAsync(await zooKeeper.GetSessionAsync(cancellationToken), cluster, cancellationToken);
                    done = done.Add(cluster);
                }

                if (!done.Contains(home))
                {
                    await ApplyToHomeAsync(await zooKeeper.GetSessionAsync(cancellationToken), cancellationToken);
                    done = done.Add(home);
                }
            }
            catch (ZooKeeperException e)
            {
                if (told.Failure != e.Message)
                {
                    Log.RightsNotSet(logger, e.Message);
                }

                failure = e.Message;
            }

            told.Failure = failure;

            await Task.Delay(Looking, time, cancellationToken);
        }
    }

    private async Task ApplyAsync(ZooKeeperSession session, ZnodePaths paths, CancellationToken cancellationToken)
    {
        await session.EnsurePathAsync(paths.Requests, cancellationToken);
        byte[] monitors = RequestRights.Write(Monitors);
        if (!(await session.GetDataAsync(paths.Requests, null, cancellationToken)).Data.Span.SequenceEqual(monitors))
        {
            await session.SetDataAsync(paths.Requests, monitors, -1, cancellationToken);
        }

        await ApplyBelowAsync(session, paths.Root, cancellationToken);
    }

    /// <summary>
    /// What all clusters share: the heartbeats; and the root, where clusters of ours lie below it. Another one's may lie there as well.
    /// </summary>
    private async Task ApplyToHomeAsync(ZooKeeperSession session, CancellationToken cancellationToken)
    {
        if (IsCommonRoot || _clusters.Any(cluster => cluster.Root.StartsWith(home.Clusters + "/", StringComparison.Ordinal)))
        {
            await session.EnsurePathAsync(home.Clusters, cancellationToken);
            await ApplyAsync(session, home.Root, cancellationToken);
            await ApplyAsync(session, home.Clusters, cancellationToken);
        }

        await ApplyBelowAsync(session, home.Heartbeats, cancellationToken);
    }

    private async Task ApplyAsync(ZooKeeperSession session, string path, CancellationToken cancellationToken)
    {
        ImmutableArray<ZnodeAcl> rights = Of(path);
        if (!(await session.GetAclAsync(path, cancellationToken)).Acl.ToHashSet().SetEquals(rights))
        {
            await session.SetAclAsync(path, rights, -1, cancellationToken);
        }
    }

    private async Task ApplyBelowAsync(ZooKeeperSession session, string path, CancellationToken cancellationToken)
    {
        try
        {
            await ApplyAsync(session, path, cancellationToken);

            // Requests are their makers' and the monitors'; what is below clusters is put right cluster by cluster.
            foreach (string child in Owning(path) is { } paths && (path == paths.Requests || path == paths.Clusters)
                ? [] : (await session.GetChildrenAsync(path, null, cancellationToken)).Names)
            {
                await ApplyBelowAsync(session, $"{path}/{child}", cancellationToken);
            }
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            // It has gone meanwhile.
        }
    }

    private static IEnumerable<(string User, string Password)> Users(SecretFile file)
        => file.Lines.Select(line => (Line: line, Colon: line.IndexOf(':', StringComparison.Ordinal)))
            .Select(l => (l.Line[..l.Colon], l.Line[(l.Colon + 1)..]));
}
