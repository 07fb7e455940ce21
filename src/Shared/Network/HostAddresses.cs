using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;

namespace RedisFailover.Shared;

/// <summary>
/// What host names resolve to. A name server that hangs or fails costs nobody more than a moment once a name is known: the addresses of
/// before are used meanwhile. Compiled into the projects that connect by name.
/// </summary>
/// <param name="time">The source of time.</param>
/// <param name="resolve">What resolves a name; null: the system.</param>
internal sealed class HostAddresses(TimeProvider time, Func<string, CancellationToken, Task<IPAddress[]>>? resolve = null)
{
    /// <summary>For so long a name server is waited for where an earlier answer is known (the resolution delay of RFC 8305).</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(50);

    /// <summary>A younger answer is used without asking again: who is refused asks hundreds of times a second.</summary>
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    private readonly Func<string, CancellationToken, Task<IPAddress[]>> _resolve = resolve ?? ResolveOnItsOwnThreadAsync;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>
    /// The addresses of a host, the one that last worked first; none where the name does not resolve and never did, with the error.
    /// </summary>
    /// <exception cref="OperationCanceledException">Cancelled before the name server answered, and no earlier answer is known.</exception>
    internal async ValueTask<(ImmutableArray<IPAddress> Addresses, SocketError Error)> FindAsync(
        string host, CancellationToken cancellationToken)
    {
        if (IPAddress.TryParse(host, out IPAddress? literal))
        {
            return ([literal], SocketError.Success);
        }

        Entry entry = EntryOf(host, Fresh, out TimeSpan askedFor);
        if (entry.Asking is { } asking)
        {
            try
            {
                TimeSpan left = entry.Known.IsEmpty ? Timeout.InfiniteTimeSpan : Patience - askedFor;
                if (left > TimeSpan.Zero || left == Timeout.InfiniteTimeSpan)
                {
                    await asking.WaitAsync(left, time, cancellationToken).ConfigureAwait(false);
                }
            }
            catch (TimeoutException)
            {
                // What is known is used.
            }
        }

        lock (_gate)
        {
            return (entry.Known, entry.Known.IsEmpty ? entry.Error : SocketError.Success);
        }
    }

    /// <summary>
    /// What is known of a host without waiting for anybody; asks again meanwhile where that is older than given. Empty for nothing.
    /// </summary>
    internal ImmutableArray<IPAddress> Known(string host, TimeSpan lifetime)
        => IPAddress.TryParse(host, out IPAddress? literal) ? [literal] : EntryOf(host, lifetime, out _).Known;

    /// <summary>This address of the host works: it is tried first the next time.</summary>
    internal void Prefer(string host, IPAddress address)
    {
        lock (_gate)
        {
            if (_entries.TryGetValue(host, out Entry? entry) && entry.Known.Length > 1 && !entry.Known[0].Equals(address))
            {
                entry.Known = [address, .. entry.Known.Where(a => !a.Equals(address))];
            }
        }
    }

    /// <summary>The entry of a host; asks for its name unless that is under way, or was done within the time given.</summary>
    private Entry EntryOf(string host, TimeSpan lifetime, out TimeSpan askedFor)
    {
        lock (_gate)
        {
            if (!_entries.TryGetValue(host, out Entry? entry))
            {
                _entries[host] = entry = new Entry();
            }

            if (entry.Asking is null && (entry.AskedAt is not { } at || time.GetElapsedTime(at) >= lifetime))
            {
                entry.AskedAt = time.GetTimestamp();
                Task<IPAddress[]> answer = _resolve(host, CancellationToken.None);
                entry.Asking = TakeAsync(entry, answer);
            }

            if (entry.Asking is { IsCompleted: true })
            {
                entry.Asking = null;
            }

            askedFor = time.GetElapsedTime(entry.AskedAt!.Value);
            return entry;
        }
    }

    private async Task TakeAsync(Entry entry, Task<IPAddress[]> answer)
    {
        ImmutableArray<IPAddress> found = [];
        SocketError error = SocketError.HostNotFound;
        try
        {
            found = Interleaved(await answer.ConfigureAwait(false));
        }
        catch (SocketException e)
        {
            error = e.SocketErrorCode;
        }

        lock (_gate)
        {
            IPAddress? preferred = entry.Known.IsEmpty ? null : entry.Known[0];
            entry.Error = error;
            // A name that does not resolve now is nobody's; an older answer is better than none.
            entry.Known = found.IsEmpty ? entry.Known
                : preferred is not null && found.Contains(preferred) ? [preferred, .. found.Where(a => !a.Equals(preferred))]
                : found;
            entry.Asking = null;
        }
    }

    /// <summary>
    /// One family after the other in turn, beginning with the resolver's first: a family that is cut off costs one attempt.
    /// </summary>
    private static ImmutableArray<IPAddress> Interleaved(IPAddress[] addresses)
    {
        if (addresses.Length < 2)
        {
            return [.. addresses];
        }

        IPAddress[] same = [.. addresses.Where(a => a.AddressFamily == addresses[0].AddressFamily)];
        IPAddress[] other = [.. addresses.Where(a => a.AddressFamily != addresses[0].AddressFamily)];
        return
        [
            .. Enumerable.Range(0, Math.Max(same.Length, other.Length)).SelectMany(i => same.Skip(i).Take(1).Concat(other.Skip(i).Take(1))),
        ];
    }

    /// <summary>Linux' resolver holds its thread until the name server answers: that must be none of the pool's.</summary>
    private static Task<IPAddress[]> ResolveOnItsOwnThreadAsync(string host, CancellationToken cancellationToken)
        => Task.Factory.StartNew(
            () => Dns.GetHostAddresses(host), cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private sealed class Entry
    {
        internal ImmutableArray<IPAddress> Known { get; set; } = [];

        internal SocketError Error { get; set; } = SocketError.HostNotFound;

        internal long? AskedAt { get; set; }

        internal Task? Asking { get; set; }
    }
}
