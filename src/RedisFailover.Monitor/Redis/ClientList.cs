using System.Globalization;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Redis;

/// <summary>
/// Who is connected to one node. The list is not asked for where it cannot be had: with too many clients, where it is longer than the node
/// lets a reply be (it ends the connection instead), and where it failed to come before.
/// </summary>
/// <param name="within">How long the node may take for it where somebody waits.</param>
/// <param name="clock">The source of time.</param>
internal sealed class ClientList(TimeSpan within, MonotonicClock clock)
{
    /// <summary>With more clients than this their list is too long to ask for, and the lease has to do.</summary>
    internal const int Most = NodeInfo.MostClientsSearched;

    /// <summary>So many times in a row are no accident: a connection ends, and an answer fails to come, for other reasons too.</summary>
    private const int Enough = 2;

    /// <summary>How long it is not asked for again then.</summary>
    private static readonly TimeSpan Again = TimeSpan.FromMinutes(10);

    private readonly Lock _gate = new();
    private RedisConnection? _endedWith;
    private string _runId = "";
    private int _failures;
    private TimeSpan _failedAt;
    private long _limit;

    /// <summary>The longest reply that the node lets a client have, in bytes; 0: there is no limit, or it is not known.</summary>
    internal long Limit => Volatile.Read(ref _limit);

    /// <summary>Whether the node was asked for the list, and it did not come.</summary>
    internal bool IsWithheld
    {
        get
        {
            lock (_gate)
            {
                return _failures >= Enough;
            }
        }
    }

    /// <summary>The node says which process it is: what was found out about another one does not hold for it.</summary>
    internal void Of(string runId)
    {
        lock (_gate)
        {
            _failures = _runId == runId ? _failures : 0;
            _runId = runId;
        }
    }

    /// <summary>The reply to CLIENT LIST; null where it cannot be had, or there are more clients than given.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="most">So many clients at most.</param>
    /// <param name="isAwaited">Whether somebody waits for it: then it has to come in time.</param>
    /// <exception cref="IOException">The connection ended.</exception>
    /// <exception cref="TimeoutException">It did not come in time, which may be an accident.</exception>
    internal async Task<string?> ReadAsync(RedisConnection connection, int most, bool isAwaited = false)
    {
        Task<RespValue> limits = connection.SendAsync("CONFIG", "GET", "client-output-buffer-limit");
        RespValue clients = await connection.SendAsync("INFO", "clients");
        Volatile.Write(ref _limit, OfNormalClients(await limits));
        if (clients.IsError || Count(clients.Text) is not { } count || count > most || NodeInfo.IsListTooLong(count, Limit) || !MayAsk())
        {
            return null;
        }

        try
        {
            Task<RespValue> asked = connection.SendAsync("CLIENT", "LIST");
            RespValue list = await (isAwaited ? asked.WaitAsync(within, clock.Provider) : asked);
            Came();
            return list.IsError ? null : list.Text;
        }
        catch (TimeoutException) when (Failed(null))
        {
            return null;
        }
        catch (IOException)
        {
            Failed(connection);
            throw;
        }
    }

    private bool MayAsk()
    {
        lock (_gate)
        {
            return _failures < Enough || clock.Now - _failedAt >= Again;
        }
    }

    private void Came()
    {
        lock (_gate)
        {
            _failures = 0;
        }
    }

    /// <summary>Whether that is no accident any more. One connection that ends is one failure, however often it was asked.</summary>
    private bool Failed(RedisConnection? endedWith)
    {
        lock (_gate)
        {
            _failures += endedWith is null || endedWith != _endedWith ? 1 : 0;
            _endedWith = endedWith ?? _endedWith;
            _failedAt = clock.Now;
            return _failures >= Enough;
        }
    }

    private static int? Count(string? info)
        => info?.Split('\n').FirstOrDefault(l => l.StartsWith("connected_clients:", StringComparison.Ordinal)) is { } line
            && int.TryParse(line.AsSpan("connected_clients:".Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int count)
                ? count : null;

    /// <summary>"normal 1048576 524288 60 slave ...": the first figure ends the connection at once.</summary>
    private static long OfNormalClients(RespValue reply)
        => reply is { Kind: RespKind.Array, Items: [_, { Text: { } value }] } && value.Split(' ') is var words
            && Array.IndexOf(words, "normal") is >= 0 and var i && i + 1 < words.Length
            && long.TryParse(words[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out long limit) ? limit : 0;
}
