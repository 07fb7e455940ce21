using System.Collections.Immutable;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Cluster;

/// <summary>
/// One session with the ensemble, for a command that looks and is done. Every call is bounded in time and fails in one line.
/// </summary>
internal sealed class EnsembleSession(ZooKeeperSession session, ZooKeeperConnectionString connection, TimeSpan timeout) : IAsyncDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    internal ZooKeeperSession Session => session;

    internal ZooKeeperConnectionString Connection => connection;

    internal static async Task<EnsembleSession> ConnectAsync(
        ZooKeeperConnectionString connection, TimeSpan timeout, TextWriter errors, CancellationToken ct)
        => new(
            await BoundedAsync(
                token => ZooKeeperWait.NotSilentAsync(
                    ZooKeeperSession.ConnectAsync(ZooKeeperAccess.Options(connection), token), connection, errors, token),
                connection, timeout, ct),
            connection,
            timeout);

    public ValueTask DisposeAsync() => session.DisposeAsync();

    /// <summary>What the znode holds; null when there is none.</summary>
    internal async Task<ReadOnlyMemory<byte>?> ReadAsync(string path, CancellationToken ct) => (await ZnodeAsync(path, ct))?.Data;

    /// <summary>The znode; null when there is none.</summary>
    internal async Task<Znode?> ZnodeAsync(string path, CancellationToken ct)
    {
        try
        {
            return await BoundedAsync(token => session.GetDataAsync(path, cancellationToken: token).AsTask(), ct);
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return null;
        }
    }

    /// <summary>The names of its children; none when there is no such znode.</summary>
    internal async Task<ImmutableArray<string>> ChildrenAsync(string path, CancellationToken ct)
    {
        try
        {
            return (await BoundedAsync(token => session.GetChildrenAsync(path, cancellationToken: token), ct)).Names;
        }
        catch (ZooKeeperException e) when (e.Code == ZooKeeperErrorCode.NoNode)
        {
            return [];
        }
    }

    /// <summary>Whether the change was made; not where the server answers that there is nothing to change.</summary>
    /// <param name="root">The cluster's root, for the message.</param>
    /// <param name="already">The server's answer that there is nothing to change.</param>
    /// <param name="change">The change.</param>
    /// <param name="ct">Gives up.</param>
    /// <exception cref="CliException">There is no right to it.</exception>
    internal async Task<bool> ChangedAsync(
        string root, ZooKeeperErrorCode already, Func<ZooKeeperSession, CancellationToken, Task> change, CancellationToken ct)
    {
        try
        {
            return await BoundedAsync(
                async token =>
                {
                    await change(session, token);
                    return true;
                },
                ct);
        }
        catch (ZooKeeperException e) when (e.Code == already)
        {
            return false;
        }
        catch (ZooKeeperException e) when (e.Code is ZooKeeperErrorCode.NoAuth or ZooKeeperErrorCode.InvalidAcl)
        {
            throw new CliException(
                $"no right to do that at {connection.Chroot}{root}: give the monitors' user:password in the file that "
                + $"{ZooKeeperAccess.Variables[0]} names.", CommandLine.Refused, e);
        }
    }

    /// <inheritdoc cref="BoundedAsync{T}(Func{CancellationToken, Task{T}}, ZooKeeperConnectionString, TimeSpan, CancellationToken)"/>
    internal Task<T> BoundedAsync<T>(Func<CancellationToken, Task<T>> call, CancellationToken ct)
        => BoundedAsync(call, connection, timeout, ct);

    /// <summary>A read whose connection was lost is asked again, as long as there is time; a write is not.</summary>
    private static async Task<T> BoundedAsync<T>(
        Func<CancellationToken, Task<T>> call, ZooKeeperConnectionString connection, TimeSpan timeout, CancellationToken ct)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(ct);
        deadline.CancelAfter(timeout);
        try
        {
            while (true)
            {
                try
                {
                    return await call(deadline.Token);
                }
                catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
                {
                    throw await ZooKeeperWait.UnreachableAsync(connection, timeout, ct, e);
                }
                catch (ZooKeeperException e) when (e is { Code: ZooKeeperErrorCode.ConnectionLoss, MayHaveBeenApplied: false }
                    && !deadline.IsCancellationRequested)
                {
                    await Task.Delay(Pause, TimeProvider.System, CancellationToken.None);
                }
            }
        }
        finally
        {
            // What is given up, a session that is being made say, does not go on behind our back.
            await deadline.CancelAsync();
        }
    }
}
