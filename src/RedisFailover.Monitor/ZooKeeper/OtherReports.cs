using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Monitor.ZooKeeper;

/// <summary>What the other monitors see, for a leader.</summary>
internal sealed class OtherReports(RegistryZnodes znodes, MonitorPresence presence, ILogger logger)
{
    private static readonly TimeSpan SilenceInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Reports what the other monitors see. Only a leader needs to know: when a node is lost all monitors write at once, and each
    /// further reader would slow down the one that counts. A monitor whose heartbeat is silent has no opinion, and keeps its seat.
    /// </summary>
    internal async Task WatchAsync(CancellationToken cancellationToken)
    {
        var watched = new Dictionary<string, (int Coming, View View)>(StringComparer.Ordinal);
        try
        {
            while (true)
            {
                Task changed = presence.Changed;
                ImmutableDictionary<string, int> present = presence.Present;
                foreach (string gone in watched.Where(w => present.GetValueOrDefault(w.Key) != w.Value.Coming).Select(w => w.Key).ToArray())
                {
                    watched.Remove(gone, out (int Coming, View View) left);
                    await left.View.DisposeAsync();
                }

                foreach ((string name, int coming) in present.Where(p => !watched.ContainsKey(p.Key)))
                {
                    watched[name] = (coming, new View(this, name, cancellationToken));
                }

                foreach ((_, View view) in watched.Values)
                {
                    view.Listen();
                }

                // Nobody falls silent where nobody else is.
                TimeSpan look = watched.Count > 0 ? SilenceInterval : Timeout.InfiniteTimeSpan;
                await Task.WhenAny(changed, Task.Delay(look, znodes.Clock.Provider, cancellationToken));
                cancellationToken.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // It no longer leads.
        }
        finally
        {
            foreach ((_, View view) in watched.Values)
            {
                await view.DisposeAsync();
            }
        }
    }

    private WatchedValue Watch(string name) => znodes.ZooKeeper.Watch(znodes.Paths.Monitor(name));

    private bool IsSilent(long session) => znodes.IsSilent(session);

    private void Tell(string name, MonitorReport report)
        => znodes.Observations.TryWrite(new MonitorReported(znodes.Clock.Now, name, report));

    private void TellUnreadable(string name, string why) => Log.ViewNotReadable(logger, name, why);

    /// <summary>One other monitor's view, for as long as this one leads.</summary>
    private sealed class View : IAsyncDisposable
    {
        private readonly Lock _gate = new();
        private readonly OtherReports _reports;
        private readonly string _name;
        private readonly CancellationToken _over;
        private readonly WatchedValue _value;
        private MonitorReport? _report;
        private long _session;
        private bool _isSilent;
        private bool _isOver;

        internal View(OtherReports reports, string name, CancellationToken over)
        {
            (_reports, _name, _over) = (reports, name, over);
            _value = reports.Watch(name);
            _value.Changed += Take;
            if (_value.IsRead)
            {
                Take(_value.Current);
            }
        }

        public ValueTask DisposeAsync()
        {
            lock (_gate)
            {
                _isOver = true;
            }

            return _value.DisposeAsync();
        }

        /// <summary>Looks whether its heartbeat has fallen silent, or is heard again.</summary>
        internal void Listen()
        {
            lock (_gate)
            {
                bool silent = _session != 0 && _reports.IsSilent(_session);
                if (silent != _isSilent)
                {
                    _isSilent = silent;
                    Tell();
                }
            }
        }

        private void Take(Znode? znode)
        {
            if (znode is null || znode.Stat.EphemeralOwner == 0)
            {
                return;
            }

            lock (_gate)
            {
                try
                {
                    (_report, _session) = (MonitorReport.Parse(znode.Data), znode.Stat.EphemeralOwner);
                    _isSilent = _reports.IsSilent(_session);
                    Tell();
                }
                catch (FormatException e)
                {
                    _reports.TellUnreadable(_name, e.Message);
                }
            }
        }

        private void Tell()
        {
            if (_report is not null && !_isOver && !_over.IsCancellationRequested)
            {
                _reports.Tell(_name, _isSilent ? MonitorReport.None : _report);
            }
        }
    }
}
